"""faust, as it is used here: a table that late writes do not set back, and without what a batch has no use for.

For each record faust makes four tasks, asks two codecs that change nothing, and keeps statistics that nobody looks at:
together more work than the adding. What is left out here is only speed; the rest of faust is as it was.
"""

from collections.abc import Iterable
from inspect import iscoroutine
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver
from mode.services import WaitResults

from services.insights.domain.cells import is_older


class RawSchema(faust.Schema):  # type: ignore[type-arg]
    """Key and value as they are."""

    def compile(self, app: Any, **_: Any) -> Any:
        """See faust."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(message.key, message.value, message.headers, message)

        return decode


class _Consumer(driver.Consumer):
    async def wait_first(self, *waits: Any, timeout: Any = None) -> WaitResults:
        """A record is handed on at once where there is room for it: only a full buffer makes it wait, and then a
        rebalance must be able to interrupt it."""
        if len(waits) == 2 and all(map(iscoroutine, waits)) and self._has_room():
            handing, suspended = waits
            suspended.close()
            return WaitResults([handing], [await handing], stopped=False)
        return await super().wait_first(*waits, timeout=timeout)

    def _has_room(self) -> bool:
        app = self.app
        return (
            app.flow_control.is_active()
            and not app.in_recovery
            and not any(topic.queue.full() for topic in app.topics)
        )


class Table(faust.Table):  # type: ignore[type-arg]
    """Recovers the newest value of a cell, which is not always the last one written.

    ``outrun`` are the keys whose newest value has an older one behind it on the topic, which compaction would keep."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outrun: set[str] = set()

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """See faust."""
        newest: dict[str, Any] = {}
        taken = []
        for event in batch:
            held = newest.get(event.key, self.data.get(event.key))
            if event.value is not None and is_older(event.value, held):
                self.outrun.add(event.key)
                continue
            self.outrun.discard(event.key)
            newest[event.key] = event.value
            taken.append(event)
        super().apply_changelog_batch(taken)


class App(faust.App):
    """A faust application for batches of raw records, with a table in memory."""

    def _create_directories(self) -> None:
        """None: the table is in memory, and where the process stands may be read-only."""

    def _new_consumer(self) -> Any:
        self.transport.Consumer = _Consumer  # type: ignore[misc]
        return super()._new_consumer()

    def on_init_dependencies(self) -> Any:
        """What is started with it; without its statistics."""
        needed = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        self.sensors.add(faust.Sensor())  # it complains at each rebalance when there is none
        return needed
