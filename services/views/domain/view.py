"""An order put together from the parts of its document, as it is shown (`shown`)."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from services.views.domain import axes
from services.views.domain.amounts import spread
from services.views.domain.document import Document
from services.views.domain.fulfillment_part import Fulfillment, Parcel
from services.views.domain.order_part import Line, OrderPart, Package
from services.views.domain.returns_part import Inspected, Return, ReturnedLine
from services.views.domain.shown import (
    FulfillmentView,
    HoldView,
    ItemView,
    LineView,
    MoneyView,
    NoticeView,
    OrderView,
    PaymentView,
    PromiseView,
    Quantities,
    Quantity,
    RefundView,
    ReservationView,
    ReturnView,
    ShipmentView,
    Shown,
    Status,
    Summary,
)
from services.views.domain.units import Part, Units, find, per_line

S = TypeVar("S", bound=Shown)


def _as(shown: type[S], part: Part) -> S:
    """A stored row with its field names."""
    return shown(**{name: getattr(part, name) for name in part.__struct_fields__})


def view(document: Document) -> OrderView:
    """The document as it is shown."""
    order = document.order
    described = {line.line_id: line.description for line in order.lines}
    return OrderView(
        id=document.order_id,
        version=document.version,
        number=order.number,
        channel=order.channel,
        status=status(document),
        reason=order.reason,
        cancellation_refused=order.cancel_refused,
        placed_at=order.placed_at,
        recorded_at=order.recorded_at,
        confirmed_at=order.confirmed_at,
        ended_at=order.ended_at,
        updated_at=document.updated_at,
        customer=order.customer,
        ship_to=order.ship_to,
        payment_method=order.payment_method,
        lines=_lines(document),
        money=money(order),
        payments=tuple(_as(PaymentView, p) for p in order.payments),
        refunds=tuple(_as(RefundView, x) for x in order.refunds),
        holds=tuple(_as(HoldView, h) for h in order.holds),
        reservations=_reservations(document, described),
        fulfillments=tuple(_fulfillment(f, described) for f in document.fulfillment.fulfillments),
        shipments=_shipments(document, described),
        returns=tuple(_return(r, order, described) for r in document.returns.returns),
        notices=tuple(_as(NoticeView, n) for n in document.notices.notices),
        oddities=order.oddities,
    )


def outside(shown: OrderView) -> OrderView:
    """The order as its customer sees it: without what the house notes for itself (holds and their notes, which
    warehouse and who picked, the provider's references)."""
    return msgspec.structs.replace(
        shown,
        payments=tuple(msgspec.structs.replace(p, provider_ref="") for p in shown.payments),
        holds=(),
        reservations=(),
        fulfillments=(),
        shipments=tuple(msgspec.structs.replace(s, location="") for s in shown.shipments),
        returns=tuple(
            msgspec.structs.replace(r, location="", dispositions=()) for r in shown.returns
        ),
        oddities=(),
    )


def status(document: Document) -> Status:
    """The axes of an order."""
    return Status(
        **axes.all_of(document),
        on_hold=axes.held(document.order),
        cancelling=bool(document.order.cancelling),
    )


def money(order: OrderPart) -> MoneyView:
    """The money of an order, in minor units."""
    authorised = sum(p.authorised for p in order.payments)
    captured = sum(p.captured for p in order.payments)
    voided = sum(p.voided for p in order.payments)
    return MoneyView(
        currency=order.currency,
        lines=sum(line.total for line in order.lines),
        charges=order.charges,
        total=order.total,
        authorised=authorised,
        captured=captured,
        voided=voided,
        to_capture=max(0, authorised - captured - voided),
        refunded=sum(p.refunded for p in order.payments),
        refund_pending=sum(r.amount for r in order.refunds if r.state == "granted"),
    )


def _lines(document: Document) -> tuple[LineView, ...]:
    lines = document.order.lines
    picked = _picked(document)
    asked, back = _coming_back(document.returns.returns)
    payable = spread(document.order.total, [line.total for line in lines])
    return tuple(
        _line(
            line,
            due,
            picked.get(line.line_id, 0),
            asked.get(line.line_id, 0),
            back.get(line.line_id, 0),
        )
        for line, due in zip(lines, payable, strict=True)
    )


def _picked(document: Document) -> dict[str, int]:
    """Units by line that were picked and are in no package yet."""
    picked: dict[str, int] = {}
    for f in document.fulfillment.fulfillments:
        if f.state != "cancelled":
            for line_id, n in per_line(f.picked).items():
                picked[line_id] = picked.get(line_id, 0) + n
    for parcel in document.fulfillment.parcels:
        for line_id, n in per_line(parcel.lines).items():
            picked[line_id] = picked.get(line_id, 0) - n
    return picked


def _coming_back(returns: Iterable[Return]) -> tuple[dict[str, int], dict[str, int]]:
    """Units by line that shall come back, and that have."""
    asked: dict[str, int] = {}
    back: dict[str, int] = {}
    for r in returns:
        if r.state in ("declined", "cancelled"):
            continue
        if not r.inspected:
            _add(asked, r.lines)
        _add(back, (x for x in r.inspected if x.disposition != "missing"))
    return asked, back


def _add(sums: dict[str, int], lines: Iterable[ReturnedLine | Inspected]) -> None:
    for line in lines:
        sums[line.line_id] = sums.get(line.line_id, 0) + line.quantity


def _line(line: Line, payable: int, picked: int, asked: int, back: int) -> LineView:
    """Parts of other services are a moment ahead or behind: what they add is bounded by what the
    order knows, so that the quantities always add up."""
    picked = max(0, min(picked, line.reserved))
    sent = {"delivered": line.delivered, "shipped": line.shipped}
    returned = _from(sent, back)
    requested = _from(sent, asked)
    return LineView(
        line_id=line.line_id,
        sku=line.sku,
        description=line.description,
        ordered=line.ordered,
        quantity=Quantity(
            total=line.ordered - line.cancelled, fulfilled=line.shipped + line.delivered
        ),
        quantities=Quantities(
            open=line.open,
            reserved=line.reserved - picked,
            backordered=line.backordered,
            picked=picked,
            packed=line.packed,
            shipped=sent["shipped"],
            delivered=sent["delivered"],
            cancelled=line.cancelled,
            return_requested=requested,
            returned=returned,
        ),
        unit_price=line.unit_price,
        exact_unit_price=line.exact_unit_price,
        total=line.total,
        payable=payable,
        paid=payable * line.paid // line.ordered if line.ordered else 0,
    )


def _from(sent: dict[str, int], wanted: int) -> int:
    """Take up to ``wanted`` units out of what was delivered, then shipped; how many that were."""
    taken = 0
    for place, there in sent.items():
        n = min(there, wanted - taken)
        sent[place] = there - n
        taken += n
    return taken


def _items(
    lines: Iterable[Units | ReturnedLine], described: dict[str, str]
) -> tuple[ItemView, ...]:
    return tuple(
        ItemView(
            line_id=x.line_id,
            sku=x.sku,
            description=described.get(x.line_id, ""),
            quantity=x.quantity,
            note=getattr(x, "reason", ""),
        )
        for x in lines
    )


def _reservations(document: Document, described: dict[str, str]) -> tuple[ReservationView, ...]:
    return tuple(
        ReservationView(
            reservation_id=r.reservation_id,
            state=r.state,
            promised=tuple(_as(PromiseView, p) for p in r.promised),
            missing=_items(r.missing, described),
            expires_at=r.expires_at,
            reason=r.reason,
        )
        for r in document.stock.reservations
    )


def _fulfillment(f: Fulfillment, described: dict[str, str]) -> FulfillmentView:
    return FulfillmentView(
        fulfillment_id=f.fulfillment_id,
        location=f.location,
        state=f.state,
        items=_items(f.lines, described),
        picker=f.picker,
        short=_items(f.short, described),
        reason=f.reason or f.short_reason,
        opened_at=f.opened_at,
    )


def _shipments(document: Document, described: dict[str, str]) -> tuple[ShipmentView, ...]:
    """One for each package that either side knows, in the order in which the warehouse packed."""
    parcels = document.fulfillment.parcels
    ids = dict.fromkeys(
        [*(p.package_id for p in parcels), *(p.package_id for p in document.order.packages)]
    )
    locations = {f.fulfillment_id: f.location for f in document.fulfillment.fulfillments}
    return tuple(
        _shipment(
            find(document.order.packages, id) or Package(package_id=id),
            find(parcels, id) or Parcel(package_id=id),
            locations,
            described,
        )
        for id in ids
    )


def _shipment(
    package: Package, parcel: Parcel, locations: dict[str, str], described: dict[str, str]
) -> ShipmentView:
    fulfillment_id = parcel.fulfillment_id or package.fulfillment_id
    return ShipmentView(
        package_id=package.package_id,
        fulfillment_id=fulfillment_id,
        state=_shipment_state(package, parcel),
        location=parcel.location or package.location or locations.get(fulfillment_id, ""),
        carrier=parcel.carrier or package.carrier,
        tracking_number=parcel.tracking or package.tracking,
        items=_items(parcel.lines or package.lines, described),
        captured=package.captured,
        refusal=package.refusal,
        packed_at=parcel.packed_at or package.packed_at,
        paid_at=package.paid_at,
        released_at=parcel.released_at,
        shipped_at=parcel.shipped_at or package.shipped_at,
        delivered_at=parcel.arrived_at or parcel.delivered_at or package.delivered_at,
    )


def _shipment_state(package: Package, parcel: Parcel) -> str:
    if package.delivered_at or parcel.delivered_at:
        return "delivered"
    if package.shipped_at or parcel.shipped_at:
        return "shipped"
    if package.stopped:
        return "stopped"
    if package.refusal:
        return "payment_refused"
    return "ready" if parcel.released_at else "packed"


def _return(r: Return, order: OrderPart, described: dict[str, str]) -> ReturnView:
    refund = next((x for x in order.refunds if x.return_id == r.return_id), None)
    return ReturnView(
        return_id=r.return_id,
        state=r.state,
        items=_items(r.lines, described),
        received=r.received,
        location=r.location,
        dispositions=tuple(
            ItemView(
                line_id=x.line_id,
                sku=x.sku,
                description=described.get(x.line_id, ""),
                quantity=x.quantity,
                note=x.disposition,
            )
            for x in r.inspected
        ),
        refund=_as(RefundView, refund) if refund else None,
        reason=r.reason,
        requested_at=r.requested_at,
        received_at=r.received_at,
        inspected_at=r.inspected_at,
        ended_at=r.ended_at,
    )


def summary(document: Document) -> Summary:
    """The document as a row of a list."""
    order = document.order
    return Summary(
        id=document.order_id,
        version=document.version,
        number=order.number,
        channel=order.channel,
        status=status(document),
        placed_at=order.placed_at,
        customer_name=order.customer.name or order.ship_to.name or order.customer.customer_id,
        customer_email=order.customer.email,
        units=sum(line.ordered for line in order.lines),
        total=order.total,
        currency=order.currency,
    )
