"""The one table of this service: every published event that it reads, and what each one changes."""

from collections.abc import Callable
from typing import Any, NamedTuple

from services.views.domain import document
from services.views.domain.availability import Movement, movements
from services.views.domain.terms import Term, terms
from shared.events import EVENTS, Context, Event, Items, States
from shared.events import inventory as i
from shared.events import order as o
from shared.ledger.table import Handler, Table


class Projected(NamedTuple):
    """What an event type touches: an order's document, its timeline, stock figures, search
    terms."""

    tag: str
    folds: bool
    listed: bool
    moves: Callable[[Any], list[Movement]] | None
    terms: Callable[[Any], list[Term]] | None


_MOVES = {
    i.StockReceived,
    i.StockAdjusted,
    i.StockRestocked,
    i.StockReserved,
    i.ReservationCommitted,
    i.ReservationConsumed,
    i.ReservationReleased,
    i.ReservationExpired,
}
_TERMS = {o.OrderPlaced, o.OrderShipped}


def _projected(event: type[Event]) -> Projected:
    return Projected(
        tag=event.tag(),
        folds=event in document.FOLDS,
        listed="order_id" in event.__struct_fields__,
        moves=movements if event in _MOVES else None,
        terms=terms if event in _TERMS else None,
    )


#: Documents and requests to partners have topics of their own; they tell nothing that their causes did not.
PROJECTED: dict[type[Event], Projected] = {
    t: p
    for t in EVENTS.values()
    if t.route() == f"oms.{t.service()}.events" and any((p := _projected(t))[1:])
}


def _decides_nothing(_states: States, _message: Any, _context: Context) -> Items:
    return []


#: What the consumer runtime asks for: types, codec, topics. A view has no streams and decides
#: nothing.
TABLE = Table("views", [], {t: Handler(lambda _: (), _decides_nothing) for t in PROJECTED})
