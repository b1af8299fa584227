"""What the command line answers without a running system: statuses, words, JSON."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from rich.table import Table
from typer.testing import CliRunner

from ops.cli.app import app
from ops.cli.client import problem
from ops.cli.hosting import layout_of, ports_of
from ops.cli.output import Output
from ops.stack import state
from ops.stack.state import SystemState

oms = CliRunner()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["status"], 69),
        (["down"], 3),
        (["parked", "list"], 69),
        (["parked", "redrive", "order"], 69),
        (["order", "show", "x"], 69),
        (["why", "x"], 69),
        (["topic", "tail", "oms.order.events"], 69),
    ],
)
def test_without_a_system_the_status_says_so(
    tmp_path: Path, arguments: list[str], status: int
) -> None:
    told = oms.invoke(app, [*arguments, "--data", str(tmp_path)])
    assert told.exit_code == status
    assert str(tmp_path) in told.output.replace("\n", "")


@pytest.mark.parametrize("arguments", [["status"], ["down"], ["why", "x"], ["up", "--detach"]])
def test_a_directory_that_cannot_be_had_is_named(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "file").touch()
    told = oms.invoke(app, [*arguments, "--data", str(tmp_path / "file" / "within")])
    assert told.exit_code == 69
    assert told.stderr.startswith(f"oms: {tmp_path / 'file' / 'within'}")
    assert "Not a directory" in told.stderr


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def status_with(data: Path, **addresses: str) -> tuple[int, list[str]]:
    """The exit status and the silent servers, where all processes are ready."""
    ready = state.myself("order")
    state.write(data, SystemState(supervisor=ready, addresses=addresses, processes=(ready,)))
    told = oms.invoke(app, ["status", "--json", "--data", str(data)])
    return told.exit_code, json.loads(told.stdout)["silent"]


def test_a_broker_that_is_gone_is_a_problem_of_the_status(tmp_path: Path) -> None:
    gone = closed_port()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = listening.getsockname()[1]
        url, dsn = f"postgresql://me:a%2Fb@127.0.0.1:{here}", f"host=127.0.0.1 port={here} user=me"
        both = f"127.0.0.1:{gone},127.0.0.1:{here}"
        assert status_with(tmp_path, kafka=f"127.0.0.1:{gone}", postgres=url) == (1, ["kafka"])
        assert status_with(tmp_path, kafka=both, postgres=dsn) == (0, [])
    assert status_with(tmp_path, postgres=dsn) == (1, ["postgres"])
    told = oms.invoke(app, ["status", "--data", str(tmp_path)])
    assert "postgres does not answer" in told.output
    assert status_with(tmp_path, postgres="user=me dbname=it") == (0, [])
    assert status_with(tmp_path) == (0, [])


@pytest.mark.parametrize("arguments", [["status"], ["down"], ["why", "x"]])
def test_json_is_one_document_also_when_there_is_nothing(
    tmp_path: Path, arguments: list[str]
) -> None:
    told = oms.invoke(app, [*arguments, "--json", "--data", str(tmp_path)])
    assert isinstance(json.loads(told.stdout), dict)


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["demo", "--orders", "0"],
        ["demo", "--rate", "nan"],
        ["demo", "--port-base", "80"],
        ["demo", "--file", "/no/such/file"],
        ["import", "/no/such/file"],
        ["order", "show"],
        ["topic", "tail"],
        ["topic", "tail", "oms.order.events", "--last", "-1"],
        ["status", "--data", __file__],
        ["down", "--data", __file__],
    ],
)
def test_wrong_usage_is_status_2(tmp_path: Path, arguments: list[str]) -> None:
    data = ["--data", str(tmp_path)] if arguments[0] in ("demo", "import") else []
    assert oms.invoke(app, [*arguments, *data]).exit_code == 2
    assert not list(tmp_path.iterdir())


def test_help_names_every_command_and_the_statuses() -> None:
    told = oms.invoke(app, ["--help"], env={"COLUMNS": "200"}).output
    for name in (
        "up",
        "down",
        "status",
        "demo",
        "import",
        "order",
        "why",
        "reconcile",
        "parked",
        "topic",
        "bench",
    ):
        assert name in told
    assert "69 not running" in told


def test_topics_are_listed_from_the_catalogue() -> None:
    told = oms.invoke(app, ["topic", "list", "--json"])
    assert told.exit_code == 0
    listed = {t["topic"]: t["types"] for t in json.loads(told.stdout)["items"]}
    assert "oms.order.placed.v1" in listed["oms.order.events"]
    assert listed["oms.channel.orders"] == [
        "oms.channel.place_order.v1",
        "oms.channel.cancel_order.v1",
    ]


def test_ports_follow_the_base_unless_the_environment_names_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OMS_KAFKA_PORT", "OMS_KAFKA_CONTROLLER_PORT", "OMS_POSTGRES_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert ports_of(8100).postgres == 8132
    assert (ports_of(9000).kafka, ports_of(9000).kafka_controller) == (9092, 9093)
    monkeypatch.setenv("OMS_KAFKA_PORT", "7000")
    assert (ports_of(9000).kafka, ports_of(9000).postgres) == (7000, 9032)


def test_one_location_is_automatic_and_one_a_partner_s_unless_the_environment_names_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMS_WMS_LOCATIONS", "OMS_AUTOMATIC_LOCATIONS"):
        monkeypatch.delenv(name, raising=False)
    layout = layout_of(tmp_path, 9000)
    assert json.loads(layout.extra["integrations"]["OMS_WMS_LOCATIONS"]) == ["GLA"]
    assert json.loads(layout.extra["fulfillment"]["OMS_AUTOMATIC_LOCATIONS"]) == ["AUTO"]
    assert layout.url("order") == "http://127.0.0.1:9001"
    monkeypatch.setenv("OMS_WMS_LOCATIONS", '["DHL"]')
    layout = layout_of(tmp_path, 9000)
    assert json.loads(layout.extra["integrations"]["OMS_WMS_LOCATIONS"]) == ["DHL"]


@pytest.fixture
def answer() -> Callable[..., httpx.Response]:
    return lambda **body: httpx.Response(422, json=body)


def test_a_problem_document_becomes_one_line(answer: Callable[..., httpx.Response]) -> None:
    fields = [{"field": "/lines/0/sku", "message": "unknown", "code": "unknown_sku"}]
    said = problem(answer(title="Unknown SKU", detail="Register it.", errors=fields))
    assert said == "422 Unknown SKU; Register it.; /lines/0/sku: unknown"
    assert problem(httpx.Response(502, text="<html>")) == "502 <html>"


def test_what_others_wrote_is_shown_as_they_wrote_it(capsys: pytest.CaptureFixture[str]) -> None:
    wrote = "[/b] A:x:B [red]"
    out, table = Output(), Table("carrier")
    table.add_row(wrote)
    out.draw(table)
    out.say(wrote)
    out.note(wrote)
    out.fail(wrote, 1)
    shown = capsys.readouterr()
    assert (shown.out + shown.err).count(wrote) == 4
