"""The stored document of one order: one part for each service that speaks about it.

The topics of the services have no common order, so a document must not depend on how their records
interleave, or a rebuild would differ from what was built live. Each part therefore folds the events
of one topic only, in that topic's order, and never looks at another part; they are put together
when the document is shown (`services.views.domain.view`)."""

from datetime import datetime
from typing import Any

import msgspec

from services.views.domain import fulfillment_part, order_folds, returns_part, stock_part
from services.views.domain.fulfillment_part import FulfillmentPart
from services.views.domain.order_part import OrderPart
from services.views.domain.returns_part import NoticesPart, ReturnsPart
from services.views.domain.stock_part import StockPart
from services.views.domain.units import Fold, Part
from shared.events import Event

#: Raise when a part's shape or a fold changes: the service then builds a new version of its tables
#: beside the old one.
SHAPE = 2


class Document(Part, frozen=True, array_like=True, kw_only=True):
    """Everything known of one order. ``version`` counts the events folded into it; ``updated_at``
    is the latest recorded time among them."""

    order_id: str
    version: int = 0
    updated_at: datetime | None = None
    order: OrderPart = OrderPart()
    stock: StockPart = StockPart()
    fulfillment: FulfillmentPart = FulfillmentPart()
    returns: ReturnsPart = ReturnsPart()
    notices: NoticesPart = NoticesPart()


#: Event type → the part that it changes, and how.
FOLDS: dict[type, tuple[str, Fold]] = {
    event: (part, fold)
    for part, folds in (
        ("order", order_folds.FOLDS),
        ("stock", stock_part.FOLDS),
        ("fulfillment", fulfillment_part.FOLDS),
        ("returns", returns_part.FOLDS),
        ("notices", returns_part.NOTICE_FOLDS),
    )
    for event, fold in folds.items()
}

_replace = msgspec.structs.replace


def apply(document: Document, event: Event, at: datetime) -> Document:
    """The document once ``event`` is known; ``at`` is when its service recorded it."""
    part, fold = FOLDS[type(event)]
    latest = document.updated_at
    changed: dict[str, Any] = {part: fold(getattr(document, part), event, at)}
    return _replace(
        document,
        version=document.version + 1,
        updated_at=at if latest is None or at > latest else latest,
        **changed,
    )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Document)


def encode(document: Document) -> bytes:
    """The document as it is stored."""
    return _encoder.encode(document)


def decode(data: bytes) -> Document:
    """A stored document."""
    return _decoder.decode(data)
