"""The book of documents: numbers without gaps for each kind and year, positions without gaps over all."""

import msgspec
from msgspec.structs import replace

from shared.events.erp import (
    CreditNote,
    ErpDocument,
    Invoice,
    Kind,
    NumberGiven,
    SalesOrder,
)

_KINDS: dict[type[ErpDocument], tuple[Kind, str]] = {
    SalesOrder: ("sales_order", "SO"),
    Invoice: ("invoice", "INV"),
    CreditNote: ("credit_note", "CN"),
}


class Book(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """How many documents there are, and how many of each ``<kind>-<year>``."""

    position: int = 0
    ordinals: dict[str, int] = {}


def evolve(state: Book, event: NumberGiven) -> Book:
    """The book with one more document."""
    ordinals = {**state.ordinals, f"{event.kind}-{event.year}": event.ordinal}
    return replace(state, position=event.position, ordinals=ordinals)


def next_number(
    state: Book, document: type[ErpDocument], order_id: str, year: int
) -> tuple[NumberGiven, str]:
    """The next number of a document's kind in a year (UTC), such as ``INV-2026-000042``. Whoever asks holds the book's
    lock until it commits, so a number that is given is used, and readers see positions in order."""
    kind, prefix = _KINDS[document]
    ordinal = state.ordinals.get(f"{kind}-{year}", 0) + 1
    given = NumberGiven(
        kind=kind, year=year, ordinal=ordinal, position=state.position + 1, order_id=order_id
    )
    return given, f"{prefix}-{year}-{ordinal:06d}"
