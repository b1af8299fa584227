"""The commands of `oms` as processes on the real stack: what they answer, and that they leave nothing behind."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from socket import create_server

import pytest

from ops.stack.ports import HOST
from tests.integration.demo.command import Command, left_over, oms
from tests.journey import Journey
from tests.portrange import free_base
from tests.unit.importer.olist import APPROVED, BOUGHT, LEFT, Paid, Shop, Sold

RETAIL = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
536365,85123A,WHITE HANGING HEART T-LIGHT HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom
536365,71053,WHITE METAL LANTERN,6,2010-12-01 08:26:00,3.39,17850.0,United Kingdom
536365,POST,POSTAGE,1,2010-12-01 08:26:00,18.00,17850.0,United Kingdom
536366,22633,HAND WARMER UNION JACK,6,2010-12-01 08:28:00,0.001,,EIRE
536367,22633,HAND WARMER UNION JACK,2,2010-12-01 09:00:00,1.85,13047.0,United Kingdom
536368,22633,damaged,-3,2010-12-01 09:30:00,0.0,,United Kingdom
C536369,22633,HAND WARMER UNION JACK,-2,2010-12-01 10:00:00,1.85,13047.0,United Kingdom
C536370,71053,WHITE METAL LANTERN,-1,2010-12-03 10:00:00,3.39,17850.0,United Kingdom
"""


@pytest.mark.slow
def test_a_demo_ends_by_itself_with_every_order_where_it_should_be(journey: Journey) -> None:
    data, base, told = journey.data, journey.base, journey.told

    assert told.returncode == 0, told.stderr
    last = re.search(r"^orders=60 completed=(\d+) cancelled=(\d+) refused=(\d+) returned=(\d+) "
                     r"unfinished=0 violations=0$", told.stderr, re.MULTILINE)  # fmt: skip
    assert last is not None, told.stderr
    assert sum(map(int, last.groups())) == 60
    assert all(int(n) > 0 for n in last.groups())
    answer = json.loads(told.stdout)
    assert answer["unfinished"] == []
    assert answer["reconcile"]["clean"]
    assert not answer["reconcile"]["not_checked"]
    assert answer["mails"] > 60
    for sums in answer["stock"].values():
        assert sums["reserved"] == sums["allocated"] == 0
    assert left_over(data, base) == []
    reports = list((data / "inbox" / "marketplace" / "done").glob("*.report.json"))
    assert reports
    assert all(json.loads(x.read_text())["refused"] == [] for x in reports)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["Starting Kafka", r"views +ready", r"placed [1-9]"])
def test_ctrl_c_leaves_no_process_at_any_moment(tmp_path: Path, moment: str) -> None:
    data, base = tmp_path / "data", free_base()
    with Command("demo", "--orders", "1000", "--data", str(data), "--port-base", str(base)) as demo:
        demo.until(moment)

        demo.interrupt()

        assert demo.wait() == 130, demo.text
    assert left_over(data, base) == []
    assert "Traceback" not in demo.text
    assert oms("status", "--data", str(data)).returncode == 69


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path) -> None:
    base = free_base()
    with create_server((HOST, base + 32)):
        told = oms("demo", "--data", str(tmp_path / "data"), "--port-base", str(base))

    assert told.returncode == 69
    assert f"port {base + 32}" in told.stderr
    assert left_over(tmp_path / "data", base) == []


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A detached system with a few imported orders."""
    data = tmp_path_factory.mktemp("system") / "data"
    base = free_base()
    up = oms("up", "--detach", "--data", str(data), "--port-base", str(base))
    assert up.returncode == 0, up.stderr
    yield data
    down = oms("down", "--data", str(data))
    assert down.returncode == 0, down.stderr
    assert left_over(data, base) == []
    assert oms("down", "--data", str(data)).returncode == 3


@pytest.fixture(scope="module")
def imported(system: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The retail file, imported once."""
    file = tmp_path_factory.mktemp("retail") / "retail.csv"
    file.write_text(RETAIL)
    first = oms("import", str(file), "--reconcile", "--json", "--data", str(system))
    assert first.returncode == 0, first.stderr
    answer = json.loads(first.stdout)
    assert answer["counts"]["orders new"] == answer["counts"]["orders"] == 3
    assert answer["counts"]["completed"] == 2
    assert answer["counts"]["cancelled"] == 1  # 536367, taken back whole on its day
    assert answer["counts"]["returns settled"] == 1
    assert answer["counts"]["movements new"] == 1
    assert answer["money"]["ordered"] == 6 * 255 + 6 * 339 + 1800 + 1 + 2 * 185
    assert answer["money"]["refunded"] == 339
    assert answer["reconcile"]["clean"], first.stderr
    return file


@pytest.mark.slow
def test_importing_twice_adds_nothing(system: Path, imported: Path) -> None:
    again = oms("import", str(imported), "--json", "--data", str(system))

    assert again.returncode == 3, again.stderr
    counts = json.loads(again.stdout)["counts"]
    assert counts["orders known"] == counts["orders"] == 3
    assert counts["returns known"] == 1
    assert "orders new" not in counts
    assert "returns new" not in counts
    assert "movements new" not in counts


@pytest.mark.slow
def test_olist_is_lived_through_and_what_cannot_be_placed_waits_for_a_person(
    system: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "olist"
    folder.mkdir()
    shop = Shop(folder)
    two = [Sold("10.00", "2.00"), Sold("5.00", seller="t")]
    delivered = shop.order("a", two, [Paid("7.00", "voucher"), Paid("10.03")])
    for name, status, times in (
        ("b", "shipped", (BOUGHT, APPROVED, LEFT, "")),
        ("c", "invoiced", (BOUGHT, APPROVED, "", "")),
        ("d", "canceled", (BOUGHT, APPROVED, "", "")),
    ):
        shop.order(name, [Sold("10.00")], [Paid("10.00")], status=status, times=times)
    refused = shop.order("e", [], [Paid("10.00")], status="unavailable")
    shop.imported()  # writes the files

    first = oms("import", str(folder), "--reconcile", "--json", "--data", str(system))

    assert first.returncode == 0, first.stderr
    answer = json.loads(first.stdout)
    ends = ("completed", "in transit", "open", "cancelled", "refused inputs new")
    assert {x: answer["counts"][x] for x in ends} == dict.fromkeys(ends, 1)
    assert answer["unfinished"] == 0
    assert answer["money"] == {"captured": 1703 + 1000, "ordered": 1703 + 3 * 1000}
    assert answer["reconcile"]["clean"], first.stderr
    shown = oms("order", "show", f"olist/{delivered}", "--json", "--data", str(system))
    order = json.loads(shown.stdout)
    assert len({x["location"] for x in order["shipments"]}) == 2
    again = oms("import", str(folder), "--json", "--data", str(system))
    assert again.returncode == 3, again.stderr

    listed = oms("refused", "list", "--json", "--data", str(system))
    assert listed.returncode == 1
    [kept] = json.loads(listed.stdout)["items"]
    assert (kept["reference"], kept["reason"]) == (refused, "no_items")
    id = kept["refusal_id"]
    document = json.loads(
        json.loads(oms("refused", "show", id, "--json", "--data", str(system)).stdout)["payload"]
    )
    line = {"sku": order["lines"][0]["sku"], "quantity": 1, "unit_price": 1000}
    mended = tmp_path / "mended.jsonl"
    mended.write_text(json.dumps(document | {"lines": [line]}))
    taken = oms("refused", "resubmit", id, "--payload", str(mended), "--data", str(system))
    assert (taken.returncode, taken.stdout) == (0, "1 taken, 0 known from before.\n")
    twice = oms("refused", "resubmit", id, "--payload", str(mended), "--data", str(system))
    assert twice.returncode == 1
    assert "taken already" in twice.stderr
    assert oms("refused", "list", "--data", str(system)).returncode == 3


@pytest.mark.slow
def test_a_running_system_can_be_looked_at(system: Path, imported: Path) -> None:
    status = oms("status", "--json", "--data", str(system))
    assert status.returncode == 0
    names = {p["name"]: p["state"] for p in json.loads(status.stdout)["processes"]}
    assert names["order"] == names["views"] == "ready"

    shown = oms("order", "show", "online-retail/536365", "--json", "--data", str(system))
    assert shown.returncode == 0, shown.stderr
    order = json.loads(shown.stdout)
    assert order["status"]["order"] == "completed"
    assert order["placed_at"].startswith("2010-12-01T08:26")
    assert oms("order", "show", "536365", "--data", str(system)).returncode == 0

    why = oms("why", order["id"], "--data", str(system))
    assert why.returncode == 0
    assert "inventory" in why.stdout
    assert "fulfillment" in why.stdout

    parked = oms("parked", "list", "--data", str(system))
    assert (parked.returncode, parked.stdout.strip()) == (3, "Nothing is parked."), parked.stderr
    assert oms("parked", "redrive", "order", "--data", str(system)).returncode == 3

    tail = oms(
        "topic", "tail", "oms.order.events", "--key", order["id"], "--json", "--data", str(system)
    )
    assert tail.returncode == 0, tail.stderr
    records = [json.loads(line) for line in tail.stdout.splitlines()]
    assert records[0]["data"]["type"] == records[0]["headers"]["ce_type"] == "oms.order.placed.v1"
    assert "oms.order.completed.v1" in {r["headers"]["ce_type"] for r in records}
    assert {r["key"] for r in records} == {order["id"]}
    last = oms("topic", "tail", "oms.order.events", "--last", "1", "--data", str(system))
    assert last.returncode == 0
    assert "ce_sequence: " in last.stdout
    empty = oms("topic", "tail", "oms.order.events", "--key", "nobody", "--data", str(system))
    assert (empty.returncode, empty.stdout) == (3, ""), empty.stderr
    absent = oms("topic", "tail", "oms.order.event", "--data", str(system))
    assert absent.returncode == 2
    assert "oms.order.events" in absent.stderr

    nobody = oms("order", "show", "no-such-number", "--data", str(system))
    assert nobody.returncode == 1
    assert "no-such-number" in nobody.stderr

    twice = oms("up", "--detach", "--data", str(system))
    assert twice.returncode == 3
