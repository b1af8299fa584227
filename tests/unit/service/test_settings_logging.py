"""Settings that explain themselves, logs that hold ids and no personal data."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from pydantic import Field

from shared.events.order import CancelOrder
from shared.ledger.store import Unavailable
from shared.service import Pause, Port, Principal, Problem, Role, Settings, bind, load_settings
from shared.service.commands import decide
from shared.service.logging import configure
from shared.service.loopguard import LoopGuard
from shared.service.settings import InvalidSettingsError
from shared.service.telemetry import new_trace, set_order


class Own(Settings):
    service: str = "own"
    payments_url: str = Field(..., description="Payment provider")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMS_PORT", "8101")
    monkeypatch.setenv("OMS_PAYMENTS_URL", "http://127.0.0.1:8110")
    monkeypatch.setenv("OMS_PEERS", '{"order": "http://127.0.0.1:8101"}')
    monkeypatch.setenv("OMS_DATABASE", "postgresql://u:secret@127.0.0.1/db")
    settings = Own.load()
    assert (settings.port, settings.service) == (8101, "own")
    assert settings.peers == {"order": "http://127.0.0.1:8101"}
    assert "secret" not in repr(settings)


def test_invalid_settings_name_variable_value_and_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMS_PORT", "80800")
    monkeypatch.setenv("OMS_KAFKA", "nowhere")
    monkeypatch.setenv("OMS_LOG_LEVEL", "LOUD")
    with pytest.raises(SystemExit) as raised:
        load_settings(Own)
    said = capsys.readouterr().err
    assert raised.value.code == 2
    assert "OMS_PORT='80800'" in said
    assert "OMS_KAFKA='nowhere'" in said
    assert "OMS_LOG_LEVEL='LOUD'" in said
    assert "OMS_PAYMENTS_URL is not set" in said
    assert "Payment provider" in said


@pytest.mark.parametrize(("variable", "value"), [("OMS_PORT", "99999"), ("OMS_GATHER_S", "-1")])
def test_a_service_s_own_default_keeps_bounds_and_meaning(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    class Quiet(Settings):
        port: Port = 8105
        gather_s: Pause = 0.1

    assert (Quiet.load().port, Quiet.load().gather_s) == (8105, 0.1)
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidSettingsError, match=rf"{variable}='{value}'.*(HTTP port|Pause of)"):
        Quiet.load()


def test_invalid_json_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMS_PEERS", "{")
    with pytest.raises(InvalidSettingsError, match="peers"):
        Own.load(payments_url="x")
    monkeypatch.delenv("OMS_PEERS")
    with pytest.raises(InvalidSettingsError) as raised:
        Own.load(payments_url="x", peer_key=["hush"])
    assert "hush" not in str(raised.value)


@pytest.fixture
def lines() -> Iterator[Any]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure("order", "INFO", "json", stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_lines_carry_the_ids_of_the_work(lines: Any) -> None:
    log = structlog.stdlib.get_logger("oms.test")
    with bind(new_trace("cart-7")) as trace:
        set_order("o-1")
        log.info("order.placed", count=2)
        logging.getLogger("library").warning("slow %s", "thing")
    log.debug("unseen")
    first, second = lines()
    assert first["event"] == "order.placed"
    assert (first["level"], first["service"], first["count"]) == ("info", "order", 2)
    assert first["timestamp"].endswith("Z")
    for line in (first, second):
        assert line["trace_id"] == trace.trace_id
        assert (line["correlation_id"], line["order_id"]) == ("cart-7", "o-1")
    assert (second["event"], second["level"]) == ("slow thing", "warning")


async def test_lines_of_a_request_about_an_order_name_it() -> None:
    class Away:
        async def handle(self, task: Any) -> Any:
            raise Unavailable("away")

    agent = Principal("kim", Role.AGENT)
    with bind(new_trace()) as trace:
        command = CancelOrder(order_id="o-1", reason="")
        with pytest.raises(Problem):
            await decide(Away(), command, agent, None, lambda _: (200, {}))  # type: ignore[arg-type]
        assert trace.order_id == "o-1"


def test_personal_data_is_masked_at_any_depth(lines: Any) -> None:
    structlog.stdlib.get_logger().info(
        "customer.changed",
        email="ann@example.org",
        Authorization="Bearer x",
        customer={"name": "Ann", "addresses": [{"street": "High St", "country": "GB"}]},
    )
    logging.getLogger("library").warning("x", extra={"phone": "+44 7700 900123"})
    text = json.dumps(lines())
    for private in ("ann@", "Bearer", "Ann", "High St", "7700 900123"):
        assert private not in text
    assert "GB" in text


def test_odd_values_do_not_lose_a_line(lines: Any) -> None:
    structlog.stdlib.get_logger().info("odd", text="\ud800", obj=object(), raw=b"\xff")
    (line,) = lines()
    assert "odd" in line["event"]


def test_exceptions_are_rendered(lines: Any) -> None:
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        structlog.stdlib.get_logger().exception("failed")
    (line,) = lines()
    assert "RuntimeError: boom" in line["exception"]


def test_the_guard_leaves_when_the_loop_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    left: list[int] = []
    guard = LoopGuard(blocked_s=0.5, leave=left.append)
    guard.start()
    guard.join(10)
    assert left == [70]
    assert "blocked" in capfd.readouterr().err


def test_the_guard_enforces_a_deadline_and_can_be_cancelled(
    capfd: pytest.CaptureFixture[str],
) -> None:
    left: list[int] = []
    guard = LoopGuard(leave=left.append)
    guard.exit_after(0.1)
    guard.start()
    guard.join(10)
    assert left == [70]
    assert "draining" in capfd.readouterr().err
    calm = LoopGuard(leave=left.append)
    calm.start()
    calm.cancel()
    calm.join(10)
    assert left == [70]
