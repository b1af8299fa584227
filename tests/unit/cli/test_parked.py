"""``oms parked`` against a service that answers as the real ones do."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from ops.cli import parked
from ops.cli.app import app
from ops.cli.client import Running

oms = CliRunner()
KEY, CALL = "order-1", "order-2.pay1:authorise"


class House:
    """Services of which order has one key and one call parked; the key's message is still bad."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.stands_still: set[str] = set()

    def answer(self, request: httpx.Request) -> httpx.Response:
        """A service's answer."""
        of_order = request.url.host == "order"
        if request.url.host in self.stands_still:
            raise httpx.ReadTimeout("", request=request)
        if request.method == "POST":
            self.asked.append((request.url.path, json.loads(request.content)))
        match request.url.path:
            case "/parked":
                waits = {"topic": "oms.order.commands", "key": KEY, "records": 2, "since": "2026"}
                return self._items(of_order, waits | {"error": "BadPayload: [/b]"})
            case "/effects":
                owed = {"id": CALL, "next_at": "2026", "error": "500", "parked": True}
                return self._items(of_order, owed)
            case "/parked/redrive":
                return httpx.Response(200, json={"applied": 1, "error": "BadPayload"})
            case "/effects/retry":
                return httpx.Response(200, json={"id": CALL, "due": "now"})
        return httpx.Response(404)

    @staticmethod
    def _items(there: bool, item: dict[str, Any]) -> httpx.Response:
        return httpx.Response(200, json={"items": [item] if there else []})


class Reached(Running):
    """A running system whose services are a `House`."""

    house = House()

    def http(self, service: str, role: str = "") -> httpx.AsyncClient:
        """See `Running.http`."""
        transport = httpx.MockTransport(self.house.answer)
        return httpx.AsyncClient(base_url=f"http://{service}", transport=transport)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    running = Reached(Path(), "", {}, {}, "", {})
    monkeypatch.setattr(Reached, "house", House())
    monkeypatch.setattr(parked, "find", lambda data: running)
    return running.house


def test_keys_and_calls_are_listed_each_whole_on_its_line(house: House) -> None:
    told = oms.invoke(app, ["parked", "list"], env={"COLUMNS": "40"})
    assert told.exit_code == 1
    lines = told.output.splitlines()
    assert f"order  oms.order.commands  {KEY}" in lines
    assert "    2 waiting since 2026: BadPayload: [/b]" in lines
    assert f"order  effect  {CALL}" in lines


def test_redriving_a_service_also_makes_its_parked_calls_again(house: House) -> None:
    told = oms.invoke(app, ["parked", "redrive", "order"])
    assert house.asked == [
        ("/parked/redrive", {"topic": "oms.order.commands", "key": KEY}),
        ("/effects/retry", {"id": CALL}),
    ]
    assert f"oms.order.commands {KEY}: 1 applied, then: BadPayload" in told.output
    assert f"effect {CALL}: is made again now" in told.output
    assert told.exit_code == 1


def test_one_call_can_be_made_again_alone(house: House) -> None:
    told = oms.invoke(app, ["parked", "redrive", "order", "--topic", "effect", "--key", CALL])
    assert (told.exit_code, house.asked) == (0, [("/effects/retry", {"id": CALL})])


def test_a_call_has_no_messages_to_show(house: House) -> None:
    told = oms.invoke(app, ["parked", "show", "order", "--topic", "effect", "--key", CALL])
    assert told.exit_code == 2
    assert "oms parked redrive order" in told.stderr


@pytest.mark.parametrize(
    "arguments", [["redrive", "order"], ["discard", "order", "1", "--reason", "junk"]]
)
def test_a_service_that_does_not_answer_is_named(house: House, arguments: list[str]) -> None:
    house.stands_still = {"order"}
    told = oms.invoke(app, ["parked", *arguments])
    assert told.exit_code == 69
    assert "does not answer (ReadTimeout): see `oms status`" in told.stderr


def test_what_the_others_have_is_listed_while_one_does_not_answer(house: House) -> None:
    house.stands_still = {"views"}
    told = oms.invoke(app, ["parked", "list", "--json"])
    answer = json.loads(told.stdout)
    assert (told.exit_code, len(answer["items"])) == (69, 2)
    assert "http://views does not answer" in answer["silent"][0]
