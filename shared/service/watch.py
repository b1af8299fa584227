"""Watching the process from inside: loop lag, wedged tasks, rotated keys."""

import asyncio

import structlog

from shared.service.http import ServiceApp
from shared.service.loopguard import LoopGuard
from shared.service.settings import Settings

INTERVAL_S = 0.25
LAG_REPORT_EVERY_S = 10.0
KEYS_EVERY_S = 2.0
log = structlog.stdlib.get_logger("oms.watch")


class Monitor:
    """Runs every quarter of a second; its task ends only when a background task is wedged."""

    def __init__(self, app: ServiceApp, settings: Settings, guard: LoopGuard) -> None:
        self.wedged: str | None = None
        self._app = app
        self._settings = settings
        self._guard = guard
        self._lag_reported_at = float("-inf")
        self._keys_checked_at = 0.0

    async def run(self) -> None:
        """Watch until a task is wedged (then `wedged` names it) or until cancelled."""
        loop = asyncio.get_running_loop()
        while self.wedged is None:
            before = loop.time()
            await asyncio.sleep(INTERVAL_S)
            self._guard.beat()
            now = loop.time()
            self._lag(now, now - before - INTERVAL_S)
            self._progress()
            if now - self._keys_checked_at >= KEYS_EVERY_S:
                self._keys_checked_at = now
                self._app.edge.keyring.reload_if_changed()

    def _lag(self, now: float, lag_s: float) -> None:
        metrics = self._app.metrics
        metrics.loop_lag_s.set(max(lag_s, 0.0))
        if lag_s < self._settings.loop_lag_alarm_s:
            return
        metrics.loop_lag_alarms.inc()
        if now - self._lag_reported_at >= LAG_REPORT_EVERY_S:
            self._lag_reported_at = now
            log.warning(
                "loop.lag", lag_ms=round(lag_s * 1000), next="find what blocks the event loop"
            )

    def _progress(self) -> None:
        for handle in self._app.health.handles:
            stalled_s = handle.progress.observe(INTERVAL_S)
            if stalled_s >= self._settings.stalled_s and not self._app.health.draining:
                self.wedged = handle.name
                log.critical(
                    "task.wedged",
                    task=handle.name,
                    stalled_s=round(stalled_s, 1),
                    steps=handle.progress.steps,
                    next="the process exits with status 70 to get a fresh client",
                )
