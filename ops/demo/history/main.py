"""``oms import`` and ``oms demo --file``: a file of real orders, lived through on a running system."""

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from rich.table import Table

from ops.cli.checking import reconcile
from ops.cli.client import Running
from ops.cli.codes import Exit
from ops.cli.output import Output
from ops.demo.catalogue import AUTOMATIC
from ops.demo.history.driver import Driver
from ops.demo.history.source import Source
from ops.demo.listen import listening
from ops.demo.outside import OutsideProducer
from ops.demo.show import showing
from ops.importer import table

TOPICS = ("oms.order.events", "oms.returns.events", "oms.inventory.events")
#: Heard as well where the source says what became of the goods.
WAREHOUSES = "oms.fulfillment.events"


@dataclass(frozen=True)
class Lived:
    """What came of an import; ``seconds`` are those between the first order sent and the last end."""

    driver: Driver
    seconds: float

    @property
    def new(self) -> int:
        """Orders, returns, movements and refused inputs that were not there before."""
        count = self.driver.count
        names = ("orders new", "returns new", "movements new", "refused inputs new")
        return sum(count[name] for name in names)

    def as_dict(self) -> dict[str, Any]:
        """For programs; money in minor units."""
        return {
            "counts": dict(sorted(self.driver.count.items())),
            "money": dict(sorted(self.driver.money.items())),
            "unfinished": self.driver.unfinished,
            "seconds": round(self.seconds, 3),
            "orders_per_s": round(self.driver.count["orders new"] / self.seconds, 1),
            "books": self.driver.source.summary.as_dict() if not self.driver.unfinished else None,
        }

    def last_line(self, violations: int) -> str:
        """As the demo's, for every order of the file, however it came to be there."""
        count, returned = self.driver.count, len(self.driver.returned)
        orders = count["orders"]
        return (
            f"orders={orders} completed={count['completed'] - returned} "
            f"cancelled={count['cancelled']} refused={count['refused']} returned={returned} "
            f"unfinished={self.driver.unfinished} violations={violations}"
        ) + "".join(
            f" {name.replace(' ', '_')}={count[name]}"
            for name in ("open", "in transit", "refused inputs")
            if count[name]
        )


async def live_through(running: Running, path: Path, mapping: str, out: Output) -> Lived:
    """Import a file; safe to repeat, also after an interruption."""
    source = Source(path, mapping)
    try:
        with out.working(f"Reading {path} …"):
            found = await source.survey()
        out.say(
            f"{source.rows_read:,} rows: {found.orders:,} orders, {found.returns:,} credits of "
            f"earlier orders, {found.movements:,} stock movements, {len(found.taken):,} SKUs"
            + (f", {found.refused:,} orders that cannot be placed." if found.refused else ".")
        )
        topics = (*TOPICS, WAREHOUSES) if found.journeys else TOPICS
        async with (
            OutsideProducer(running.kafka, f"/outside/{source.channel}") as producer,
            listening(running.kafka, topics) as listener,
        ):
            driver = Driver(running, source, found, AUTOMATIC, producer, listener)
            with out.working("Receiving the opening stock …"):
                await driver.stock_up()
            began = monotonic()
            totals = {"sent": found.orders, "ended": found.orders, "returns": found.returns}
            with showing(out.progress, totals) as show:
                await driver.live(lambda: show.counts(_counts(driver)))
            return Lived(driver, monotonic() - began)
    finally:
        source.close()


def _counts(driver: Driver) -> dict[str, int]:
    count = driver.count
    return {
        "sent": count["orders"],
        "ended": sum(
            count[end] for end in ("completed", "cancelled", "refused", "open", "in transit")
        ),
        "returns": count["returns settled"] + count["credits as cancellations"],
    }


async def import_file(
    running: Running, path: Path, mapping: str, out: Output, *, checked: bool
) -> Exit:
    """Import, show the books and what came of it, and (``checked``) reconcile. NOTHING when all was there before,
    PROBLEM when no row could be used."""
    lived = await live_through(running, path, mapping, out)
    if not lived.driver.unfinished:
        out.draw(table.render(lived.driver.source.summary))
    out.draw(_came_of_it(lived))
    answer = lived.as_dict()
    violations, clean = 0, True
    if checked:
        report = await reconcile(running.data, out)
        out.draw(report)
        answer["reconcile"] = report.as_json()
        violations, clean = report.violations_total, report.clean
    out.answer(answer)
    out.last(lived.last_line(violations))
    if lived.driver.unfinished or not clean or lived.driver.source.summary.useless:
        return Exit.PROBLEM
    return Exit.OK if lived.new or checked else Exit.NOTHING


def _came_of_it(lived: Lived) -> Table:
    driver, count = lived.driver, lived.driver.count
    shown = Table(title="What came of it", title_justify="left", show_header=False)
    shown.add_column("")
    shown.add_column("", justify="right")
    for label, value in (
        ("orders new", count["orders new"]),
        ("orders known from before", count["orders known"]),
        ("completed", count["completed"]),
        ("cancelled whole", count["cancelled"]),
        ("refused", count["refused"]),
        ("open, as the source leaves them", count["open"]),
        ("in transit, as the source leaves them", count["in transit"]),
        ("kept as refused inputs, for a person", count["refused inputs"]),
        ("of these new", count["refused inputs new"]),
        ("returns new", count["returns new"]),
        ("returns known from before", count["returns known"]),
        ("stock movements new", count["movements new"]),
        (f"of {count['movements sent']:,} sent; the others were known", ""),
        ("minor units ordered", driver.money["ordered"]),
        ("minor units captured", driver.money["captured"]),
        ("minor units refunded", driver.money["refunded"]),
        ("not ended", driver.unfinished),
        ("seconds", f"{lived.seconds:,.1f}"),
        ("new orders a second", f"{count['orders new'] / lived.seconds:,.0f}"),
    ):
        shown.add_row(label, f"{value:,}" if isinstance(value, int) else value)
    return shown
