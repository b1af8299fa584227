"""An order's documents for accounting: what each says, and that each is issued once.

An order that was placed before the feed was switched on is not known here, and gets none.
"""

from typing import Any, assert_never

import msgspec
from msgspec.structs import replace

from services.integrations.domain.allocating import Share, allocate, total_of
from services.integrations.domain.book import Book, next_number
from shared.events import Context, Items, LineQuantity, States
from shared.events import order as o
from shared.events.erp import (
    BOOK,
    CreditNote,
    DocumentCharge,
    DocumentLine,
    ErpDocument,
    Invoice,
    OrderNoted,
    PackageNoted,
    ReturnNoted,
    SalesOrder,
    line_of,
)
from shared.events.shares import shares, signed, units

Event = OrderNoted | PackageNoted | ReturnNoted | SalesOrder | Invoice | CreditNote


class Unaccountable(Exception):
    """An amount does not follow from what was noted of the order: stop, and let a person look."""


class ErpOrder(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One order: as placed, what each packed package comes to, what each return gives back, and its documents."""

    placed: o.OrderPlaced | None = None
    packed: dict[str, int] = {}
    packages: dict[str, Share] = {}
    returned: dict[str, int] = {}
    refunds: dict[str, tuple[DocumentLine, ...]] = {}
    sales_order: str = ""
    invoices: dict[str, str] = {}
    credit_notes: dict[str, str] = {}


def evolve(state: ErpOrder, event: Event) -> ErpOrder:
    """The state after an event."""
    match event:
        case OrderNoted():
            return replace(state, placed=event.placed)
        case PackageNoted():
            share = allocate(_placed(state), state.packed, event.lines)
            packages = {**state.packages, event.package_id: share}
            return replace(state, packages=packages, packed=_more(state.packed, event.lines))
        case ReturnNoted():
            refunds = {**state.refunds, event.refund_id: _refund(state, event.lines)}
            return replace(state, refunds=refunds, returned=_more(state.returned, event.lines))
        case SalesOrder():
            return replace(state, sales_order=event.number)
        case Invoice():
            return replace(state, invoices={**state.invoices, event.package_id: event.number})
        case CreditNote():
            return replace(
                state, credit_notes={**state.credit_notes, event.refund_id: event.number}
            )
    assert_never(event)


def _placed(state: ErpOrder) -> o.OrderPlaced:
    if state.placed is None:
        raise Unaccountable("the order was not placed here: its OrderPlaced is missing")
    return state.placed


def _more(counted: dict[str, int], lines: tuple[LineQuantity, ...]) -> dict[str, int]:
    out = dict(counted)
    for x in lines:
        out[x.line_id] = out.get(x.line_id, 0) + x.quantity
    return out


def _refund(state: ErpOrder, lines: tuple[LineQuantity, ...]) -> tuple[DocumentLine, ...]:
    """What the units of a return give back, by the order service's own rule."""
    placed = _placed(state)
    _, refundable = shares(placed.lines, placed.charges)
    by_id = {x.line_id: (x, back) for x, back in zip(placed.lines, refundable, strict=True)}
    before = dict(state.returned)
    out: list[DocumentLine] = []
    for x in lines:
        line, back = by_id[x.line_id]
        at = before.get(x.line_id, 0)
        out.append(line_of(line, x.quantity, units(back, line.quantity, at, x.quantity)))
        before[x.line_id] = at + x.quantity
    return tuple(out)


# Noting: what later documents are made of.


def placed(state: ErpOrder, event: o.OrderPlaced, context: Context) -> Items:
    """Keep the order as it was placed."""
    return [] if state.placed else [OrderNoted(order_id=event.order_id, placed=event)]


def packed(state: ErpOrder, event: o.OrderPacked, context: Context) -> Items:
    """Keep what is in a package. Raises `Unaccountable` when its price is not what its units cost."""
    if state.placed is None or event.package_id in state.packages:
        return []
    share = allocate(_placed(state), state.packed, event.lines)
    if share.total != event.capture.amount:
        raise Unaccountable(
            f"package {event.package_id} is charged {event.capture.amount}, its units cost {share.total}"
        )
    return [
        PackageNoted(
            order_id=event.order_id,
            package_id=event.package_id,
            lines=event.lines,
            amount=event.capture,
        )
    ]


def returned(state: ErpOrder, event: o.ReturnAccepted, context: Context) -> Items:
    """Keep what came back. Raises `Unaccountable` when the refund is not what its units give back."""
    if state.placed is None or event.refund_id in state.refunds:
        return []
    amount = sum(x.amount for x in _refund(state, event.lines))
    if amount != event.refund.amount:
        raise Unaccountable(
            f"return {event.return_id} refunds {event.refund.amount}, its units give back {amount}"
        )
    return [
        ReturnNoted(
            order_id=event.order_id,
            return_id=event.return_id,
            refund_id=event.refund_id,
            lines=event.lines,
            amount=event.refund,
        )
    ]


# Documents.


def streams(event: Any) -> tuple[str, str]:
    """The order's stream, and the book that numbers are taken from."""
    return f"erporder-{event.order_id}", BOOK


def capture_streams(event: o.PaymentCaptured) -> tuple[str, ...]:
    """A package's capture needs nothing here: its invoice comes when it leaves."""
    return () if event.package_id else streams(event)


def _both(states: States, event: Any) -> tuple[ErpOrder, Book]:
    return states[f"erporder-{event.order_id}"], states[BOOK]


def _issue(
    kind: type[ErpDocument], states: States, event: Any, context: Context, **fields: Any
) -> Items:
    state, book = _both(states, event)
    given, number = next_number(book, kind, event.order_id, context.now.year)
    order = _placed(state)
    document = kind(
        order_id=event.order_id,
        number=number,
        position=given.position,
        issued_at=context.now,
        channel=order.channel,
        external_id=order.external_id,
        currency=order.currency,
        **fields,
    )
    if total_of(document.lines, document.charges) != document.total:
        raise Unaccountable(f"{number} does not add up to {document.total}")
    return [given, document]


def confirmed(states: States, event: o.OrderConfirmed, context: Context) -> Items:
    """The promise stands: a sales order."""
    state, _ = _both(states, event)
    if state.placed is None or state.sales_order:
        return []
    order = _placed(state)
    return _issue(
        SalesOrder,
        states,
        event,
        context,
        placed_at=order.placed_at,
        customer=order.customer,
        ship_to=order.ship_to,
        lines=tuple(line_of(x, x.quantity, x.total) for x in order.lines),
        charges=_charges(order),
        total=order.total,
    )


def shipped(states: States, event: o.OrderShipped, context: Context) -> Items:
    """A package left: an invoice for it."""
    state, _ = _both(states, event)
    if state.placed is None or event.package_id in state.invoices:
        return []
    share = state.packages.get(event.package_id)
    if share is None:
        raise Unaccountable(f"package {event.package_id} left, and was never packed")
    return _invoice(
        states,
        event,
        context,
        share,
        fulfillment_id=event.fulfillment_id,
        package_id=event.package_id,
        location=event.location,
        carrier=event.carrier,
        tracking_number=event.tracking_number,
    )


def captured(states: States, event: o.PaymentCaptured, context: Context) -> Items:
    """The fees of an order without goods were charged: their invoice. Packages are invoiced when they leave."""
    if event.package_id:
        return []
    state, _ = _both(states, event)
    if state.placed is None or "" in state.invoices:
        return []
    order = _placed(state)
    share = Share((), _charges(order), order.total)
    names = ("fulfillment_id", "package_id", "location", "carrier", "tracking_number")
    return _invoice(states, event, context, share, **dict.fromkeys(names, ""))


def _invoice(states: States, event: Any, context: Context, share: Share, **fields: str) -> Items:
    state, _ = _both(states, event)
    return _issue(
        Invoice,
        states,
        event,
        context,
        sales_order=state.sales_order,
        lines=share.lines,
        charges=share.charges,
        total=share.total,
        **fields,
    )


def refunded(states: States, event: o.RefundIssued, context: Context) -> Items:
    """Money went back: a credit note."""
    state, _ = _both(states, event)
    if state.placed is None or event.refund_id in state.credit_notes:
        return []
    if event.refund_id not in state.refunds:
        raise Unaccountable(f"refund {event.refund_id} was paid for no return that is known")
    return _issue(
        CreditNote,
        states,
        event,
        context,
        sales_order=state.sales_order,
        invoices=tuple(state.invoices.values()),
        refund_id=event.refund_id,
        return_id=event.return_id,
        lines=state.refunds[event.refund_id],
        charges=(),
        total=event.amount.amount,
    )


def _charges(order: o.OrderPlaced) -> tuple[DocumentCharge, ...]:
    return tuple(
        DocumentCharge(kind=c.kind, amount=signed(c), description=c.description)
        for c in order.charges
    )
