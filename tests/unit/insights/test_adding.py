"""Cells hold each event once, whatever is read again, in whatever batches."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.insights_load import START, Shop
from services.insights.domain.batch import Batch
from services.insights.domain.cells import READ, SALES, STOCK, Cell, Key, Progress, parts
from services.insights.domain.windows import Size, moment
from services.insights.records import read
from services.insights.values import decode_value, encode_value
from shared.events import Customer, Envelope, OrderLine, encode
from shared.events import order as o
from shared.stream.port import Outgoing

TOPIC = "oms.order.events"


class Partition:
    """One partition of a topic and the cells that are made of it, as the worker makes them."""

    def __init__(self, records: list[Outgoing], topic: str = TOPIC) -> None:
        self.records = records
        self.key = str(Key(READ, 0, shard=topic))
        self.cells: dict[str, bytes] = {}

    def work(self, count: int, *, die_after: int | None = None) -> None:
        """Read the next ``count`` records in one batch; die after so many cells are written."""
        progress = self.progress
        batch = Batch(0, progress, self.cell)
        for offset in range(progress.offset + 1, min(progress.offset + 1 + count, self.end)):
            record = self.records[offset]
            batch.add(read(offset, record.headers, record.value))
        for n, (key, cell) in enumerate(batch.changed.items()):
            if n == die_after:
                return
            self.cells[key] = encode_value(cell)
        if die_after is None:
            self.cells[self.key] = encode_value(progress)

    def again_from(self, offset: int) -> None:
        """The broker hands out records that were read before."""
        progress = self.progress
        progress.offset = min(offset, progress.offset)
        self.cells[self.key] = encode_value(progress)

    @property
    def end(self) -> int:
        return len(self.records)

    @property
    def progress(self) -> Progress:
        found = self.cells.get(self.key)
        made = decode_value(found) if found else Progress()
        assert isinstance(made, Progress)
        return made

    def cell(self, key: str) -> Cell | None:
        """A copy, as from the changelog: what was not written is lost with the process."""
        found = self.cells.get(key)
        made = decode_value(found) if found else None
        assert made is None or isinstance(made, Cell)
        return made

    def sums(self) -> dict[str, dict[str, list[int]]]:
        return {
            key: cell.sums for key in self.cells if key != self.key and (cell := self.cell(key))
        }


def one_partition(topic: str, count: int, seed: int) -> list[Outgoing]:
    return [r for (t, _), r in Shop(1, seed=seed).records(count) if t == topic]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 50), st.sampled_from([TOPIC, "oms.inventory.events"]))
def test_cells_equal_those_of_one_undisturbed_reading(
    data: st.DataObject, seed: int, topic: str
) -> None:
    records = one_partition(topic, 120, seed)
    calm = Partition(records, topic)
    calm.work(len(records))
    troubled = Partition(records, topic)
    for _ in range(200):
        if troubled.progress.offset + 1 >= troubled.end:
            break
        trouble = data.draw(st.sampled_from(["none", "none", "death", "again"]))
        count = data.draw(st.integers(1, 40))
        if trouble == "again":
            troubled.again_from(data.draw(st.integers(-1, troubled.end)))
        troubled.work(
            count, die_after=data.draw(st.integers(0, 30)) if trouble == "death" else None
        )
    troubled.work(troubled.end)
    assert troubled.sums() == calm.sums()
    assert troubled.progress.records == calm.progress.records
    assert troubled.progress.gaps == 0


def test_sums_are_those_of_the_orders() -> None:
    records = one_partition(TOPIC, 2000, seed=3)
    partition = Partition(records)
    partition.work(len(records))
    wanted: Counter[tuple[str, ...]] = Counter()
    seen: set[str] = set()
    for r in records:
        order = msgspec.json.decode(r.value)
        if order["type"] == "oms.order.placed.v1" and order["order_id"] not in seen:
            seen.add(order["order_id"])
            day = order["placed_at"][:10]
            for x in order["lines"]:
                wanted[day, x["sku"], order["channel"], order["currency"], "units"] += x["quantity"]
                wanted[day, x["sku"], order["channel"], order["currency"], "money"] += x["total"]
    found: Counter[tuple[str, ...]] = Counter()
    for key, sums in partition.sums().items():
        parsed = Key.parse(key)
        if parsed.kind == SALES and parsed.size is Size.DAY:
            day = moment(parsed.start).date().isoformat()
            for named, (units, revenue) in sums.items():
                found[day, *parts(named), "units"] += units
                found[day, *parts(named), "money"] += revenue
    assert found == wanted


def order(at: datetime, sequence: int, *, recorded: datetime | None = None) -> Outgoing:
    event = o.OrderPlaced(
        order_id=f"o{sequence}", channel="web", external_id=str(sequence), currency="GBP",
        lines=(
            OrderLine(line_id="1", sku="TEA", quantity=2, unit_price=150, total=300),
            OrderLine(line_id="2", sku="TEA", quantity=1, unit_price=150, total=150),
        ),
        charges=(), total=450, customer=Customer(), ship_to=msgspec.convert({}, o.Address),
        payment_method="card", backorder="refuse", placed_at=at,
    )  # fmt: skip
    envelope = Envelope(
        id=str(sequence), type=event.tag(), time=recorded or at, sequence=sequence,
        previous=sequence - 1,
    )  # fmt: skip
    return Outgoing(b"k", encode(event), envelope.headers())


def windows(partition: Partition, size: Size) -> dict[datetime, list[int]]:
    return {
        moment(key.start): cell.sums["TEA\x1fweb\x1fGBP"]
        for text in partition.cells
        if (key := Key.parse(text)).kind == SALES and key.size is size
        if (cell := partition.cell(text))
    }


def test_a_late_order_lands_in_its_own_window_and_two_lines_of_a_sku_add_up() -> None:
    late = START - timedelta(hours=2)
    partition = Partition([order(START, 1), order(late, 2, recorded=START)])
    partition.work(2)
    assert windows(partition, Size.MINUTE) == {START: [3, 450], late: [3, 450]}
    assert windows(partition, Size.DAY) == {datetime(2026, 3, 2, tzinfo=UTC): [6, 900]}


def test_an_order_too_late_for_its_minute_still_counts_in_its_day() -> None:
    late = START - timedelta(days=20)
    partition = Partition([order(START, 1), order(late, 2, recorded=START)])
    partition.work(2)
    assert set(windows(partition, Size.MINUTE)) == {START}
    assert set(windows(partition, Size.HOUR)) == {START}
    assert datetime(2026, 2, 10, tzinfo=UTC) in windows(partition, Size.DAY)


def test_an_order_dated_far_ahead_does_not_end_the_windows_before_it() -> None:
    ahead = START + timedelta(days=30_000)
    partition = Partition([order(ahead, 1, recorded=START), order(START, 2)])
    partition.work(2)
    assert START in windows(partition, Size.MINUTE)


def test_a_feed_position_that_the_topic_skips_is_counted() -> None:
    partition = Partition([order(START, 1), order(START, 3)])
    partition.work(2)
    assert partition.progress.gaps == 1


def test_available_stock_is_what_was_received_less_what_is_promised() -> None:
    records = one_partition("oms.inventory.events", 1500, seed=5)
    partition = Partition(records, "oms.inventory.events")
    partition.work(len(records))
    found: Counter[str] = Counter()
    for text, sums in partition.sums().items():
        if Key.parse(text).kind == STOCK:
            found.update({sku: units for sku, (units,) in sums.items()})
    wanted: Counter[str] = Counter()
    last = 0
    for r in records:
        event, sequence = msgspec.json.decode(r.value), int(dict(r.headers)["ce_sequence"])
        if sequence <= last:
            continue
        last = sequence
        if event["type"] == "oms.inventory.received.v1":
            wanted[event["sku"]] += event["quantity"]
        sign = {"oms.inventory.reserved.v1": -1, "oms.inventory.reservation_released.v1": 1}
        for a in event.get("allocations", ()):
            wanted[a["sku"]] += sign.get(event["type"], 0) * a["quantity"]
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in wanted.items() if v}
