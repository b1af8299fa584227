"""Orders as a caller may see them: one by its id, or a page of them."""

from datetime import datetime

from services.views.domain.document import Document
from services.views.reader import Filter, Place, Reader
from shared.service import Principal, Problem
from shared.service.pagination import decode_cursor, encode_cursor
from shared.service.problems import FieldError
from shared.service.scope import channel_of, may_see


async def find(reader: Reader, who: Principal, order_id: str, at: datetime | None) -> Document:
    """The order; raises `Problem` 404 when there is none, or it is not the caller's to see."""
    found = await (reader.order_as_of(order_id, at) if at else reader.order(order_id))
    if found is None or not _sees(who, found):
        raise Problem(
            404,
            "order-unknown",
            "No such order",
            detail="The views know no order by this id. One that was placed a moment ago may not have arrived yet.",
        )
    return found


async def page_of(
    reader: Reader, who: Principal, which: Filter, cursor: str | None, limit: int
) -> tuple[list[Document], str | None]:
    """A page of the orders that the caller may see, and the cursor of the next."""
    which = which._replace(
        channel=channel_of(who, which.channel), customer=who.customer or which.customer
    )
    after = None
    if cursor is not None:
        at, id = decode_cursor(cursor, str, str)
        after = Place(_time(str(at)), str(id))
    found = await reader.orders(which, after, limit + 1)
    # Terms are found by their folded form, which two customers' ids may share.
    seen = [document for document in found[:limit] if _sees(who, document)]
    if len(found) <= limit:
        return seen, None
    last = found[limit - 1]
    assert last.order.placed_at is not None
    return seen, encode_cursor(last.order.placed_at.isoformat(), last.order_id)


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Problem(
            422,
            "validation-failed",
            "The request has invalid fields",
            detail="Follow the Link header of a page, or start again without a cursor.",
            errors=[FieldError("/cursor", "Not a cursor of this list", "cursor", "query")],
        )
    return at


def _sees(who: Principal, found: Document) -> bool:
    order = found.order
    return may_see(who, channel=order.channel, customer=order.customer.customer_id)
