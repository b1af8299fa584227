"""What came back of one order, folded from ``oms.returns.events``; and what the customer was told,
from ``oms.notifications.events``."""

from datetime import datetime
from typing import Any

import msgspec

from services.views.domain.units import Part, change, count, find
from shared.events import notifications as n
from shared.events import returns as r

replace = msgspec.structs.replace


class ReturnedLine(Part, frozen=True, array_like=True, kw_only=True):
    """Units that a shopper gives back."""

    line_id: str
    sku: str
    quantity: int
    reason: str = ""


class Inspected(Part, frozen=True, array_like=True, kw_only=True):
    """What inspection made of some units."""

    line_id: str
    sku: str
    quantity: int
    disposition: str


class Return(Part, frozen=True, array_like=True, kw_only=True):
    """One return. ``refunded`` is minor units, once settled."""

    return_id: str
    state: str = "requested"
    lines: tuple[ReturnedLine, ...] = ()
    received: int = 0
    location: str = ""
    inspected: tuple[Inspected, ...] = ()
    reason: str = ""
    refund_id: str = ""
    refunded: int = 0
    requested_at: datetime | None = None
    approved_at: datetime | None = None
    received_at: datetime | None = None
    inspected_at: datetime | None = None
    ended_at: datetime | None = None


class ReturnsPart(Part, frozen=True, array_like=True, kw_only=True):
    """See the module."""

    returns: tuple[Return, ...] = ()


class Notice(Part, frozen=True, array_like=True, kw_only=True):
    """One message to the customer."""

    notification_id: str
    template: str = ""
    state: str = "requested"
    reason: str = ""
    at: datetime | None = None


class NoticesPart(Part, frozen=True, array_like=True, kw_only=True):
    """Messages to the customer of one order."""

    notices: tuple[Notice, ...] = ()


def _return(id: str) -> Return:
    return Return(return_id=id)


def _notice(id: str) -> Notice:
    return Notice(notification_id=id)


def _with(part: ReturnsPart, id: str, **changes: Any) -> ReturnsPart:
    return ReturnsPart(returns=change(part.returns, id, _return, **changes))


def _requested(part: ReturnsPart, e: r.ReturnRequested, at: datetime) -> ReturnsPart:
    lines = tuple(
        ReturnedLine(line_id=x.line_id, sku=x.sku, quantity=x.quantity, reason=x.reason)
        for x in e.lines
    )
    return _with(part, e.return_id, state="requested", lines=lines, requested_at=at)


def _approved(part: ReturnsPart, e: r.ReturnApproved, at: datetime) -> ReturnsPart:
    return _with(part, e.return_id, state="approved", approved_at=at)


def _declined(part: ReturnsPart, e: r.ReturnDeclined, at: datetime) -> ReturnsPart:
    return _with(part, e.return_id, state="declined", reason=e.reason, ended_at=at)


def _cancelled(part: ReturnsPart, e: r.ReturnCancelled, at: datetime) -> ReturnsPart:
    return _with(part, e.return_id, state="cancelled", ended_at=at)


def _received(part: ReturnsPart, e: r.ReturnReceived, at: datetime) -> ReturnsPart:
    known = find(part.returns, e.return_id) or _return(e.return_id)
    return _with(
        part,
        e.return_id,
        state="partially_received" if e.outstanding else "received",
        received=known.received + count(e.lines),
        location=e.location,
        received_at=at,
    )


def _inspected(part: ReturnsPart, e: r.ReturnInspected, at: datetime) -> ReturnsPart:
    inspected = tuple(
        Inspected(line_id=x.line_id, sku=x.sku, quantity=x.quantity, disposition=x.disposition)
        for x in e.lines
    )
    return _with(
        part,
        e.return_id,
        state="inspected",
        location=e.location,
        inspected=inspected,
        inspected_at=at,
    )


def _settled(part: ReturnsPart, e: r.ReturnSettled, at: datetime) -> ReturnsPart:
    return _with(
        part,
        e.return_id,
        state="settled",
        refund_id=e.refund_id,
        refunded=e.amount.amount,
        ended_at=at,
    )


def _notify(part: NoticesPart, e: n.NotificationRequested, at: datetime) -> NoticesPart:
    notices = change(part.notices, e.notification_id, _notice, template=e.template, at=at)
    return NoticesPart(notices=notices)


def _sent(part: NoticesPart, e: n.NotificationSent, at: datetime) -> NoticesPart:
    return NoticesPart(
        notices=change(part.notices, e.notification_id, _notice, state="sent", at=at)
    )


def _failed(part: NoticesPart, e: n.NotificationFailed, at: datetime) -> NoticesPart:
    notices = change(
        part.notices, e.notification_id, _notice, state="failed", reason=e.reason, at=at
    )
    return NoticesPart(notices=notices)


#: How each event of a return changes the part.
FOLDS: dict[type, Any] = {
    r.ReturnRequested: _requested,
    r.ReturnApproved: _approved,
    r.ReturnDeclined: _declined,
    r.ReturnCancelled: _cancelled,
    r.ReturnReceived: _received,
    r.ReturnInspected: _inspected,
    r.ReturnSettled: _settled,
}

#: How each event of a message to the customer changes its part.
NOTICE_FOLDS: dict[type, Any] = {
    n.NotificationRequested: _notify,
    n.NotificationSent: _sent,
    n.NotificationFailed: _failed,
}
