"""What must be known before the first order of a history is placed: one pass over its records."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

import msgspec

from ops.importer.records import (
    AnyRecord,
    Cancellation,
    HistoricOrder,
    Item,
    RefusedOrder,
    Return,
    StockMovement,
)
from shared.events import StockLine
from shared.events.inventory import ReceiveStock

#: Lines of one receipt, which is one transaction.
RECEIPT_LINES = 250


@dataclass
class Survey:
    """The counts of a history. ``taken`` are the units that sales and losses take of each SKU; ``cancelled`` the orders
    that were taken back whole; ``homes`` where a SKU lies, where the source says; ``journeys`` whether it says what became
    of the goods."""

    orders: int = 0
    refused: int = 0
    journeys: bool = False
    returns: int = 0
    movements: int = 0
    taken: Counter[str] = field(default_factory=Counter)
    cancelled: set[str] = field(default_factory=set)
    homes: dict[str, str] = field(default_factory=dict)

    def receipts(self, channel: str, location: str) -> list[ReceiveStock]:
        """The opening stock: all that will be taken, because the history is lived through faster than it happened and
        goods that come back may come later than they did.

        The ids follow from the contents: the same history's opening stock counts once.
        """
        lines = [
            StockLine(sku=sku, location=self.homes.get(sku, location), quantity=n)
            for sku, n in sorted(self.taken.items())
            if n
        ]
        receipts = []
        for start in range(0, len(lines), RECEIPT_LINES):
            part = tuple(lines[start : start + RECEIPT_LINES])
            digest = blake2b(msgspec.json.encode(part), digest_size=8).hexdigest()
            receipts.append(
                ReceiveStock(
                    movement_id=f"{channel}:opening:{digest}", lines=part, reference="opening stock"
                )
            )
        return receipts


def survey(records: Iterable[AnyRecord]) -> Survey:
    """Count a history. Keeps one number for each SKU and each order."""
    found = Survey()
    cancelled: Counter[str] = Counter()
    units: dict[str, int] = {}
    for record in records:
        match record:
            case Item() if record.location:
                found.homes[record.sku] = record.location
            case RefusedOrder():
                found.refused += 1
            case HistoricOrder():
                found.orders += 1
                units[record.external_id] = sum(x.quantity for x in record.lines)
                for line in record.lines:
                    found.taken[line.sku] += line.quantity
                if record.journey is not None:
                    found.journeys = True
                    if record.journey.end == "cancelled":
                        found.cancelled.add(record.external_id)
            case StockMovement() if record.stocked:
                found.movements += 1
                found.taken[record.sku] += max(0, -record.quantity)
            case Cancellation():
                found.returns += 1
                cancelled[record.order_external_id] += sum(x.quantity for x in record.lines)
            case Return():
                found.returns += 1
            case _:
                pass
    found.cancelled |= {id for id, n in cancelled.items() if n == units[id]}
    return found
