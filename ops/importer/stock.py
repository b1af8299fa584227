"""The stock that a history presupposes: no source says what was on the shelf on the first day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from ops.importer.records import AnyRecord, Cancellation, HistoricOrder, Return, StockMovement


def opening_stock(records: Iterable[AnyRecord]) -> dict[str, int]:
    """Return the least opening quantity per SKU with which stock never falls below zero.

    ``records`` is one import in its own order. Sales take stock, cancellations and returns bring it
    back, movements do what they say; SKUs that need none are left out.
    """
    on_hand: defaultdict[str, int] = defaultdict(int)
    lowest: defaultdict[str, int] = defaultdict(int)
    for record in records:
        for sku, change in _changes(record):
            on_hand[sku] += change
            lowest[sku] = min(lowest[sku], on_hand[sku])
    return {sku: -low for sku, low in sorted(lowest.items()) if low < 0}


def _changes(record: AnyRecord) -> list[tuple[str, int]]:
    match record:
        case HistoricOrder():
            return [(line.sku, -line.quantity) for line in record.lines]
        case Cancellation() | Return():
            return [(line.sku, line.quantity) for line in record.lines]
        case StockMovement() if record.stocked:
            return [(record.sku, record.quantity)]
        case _:
            return []
