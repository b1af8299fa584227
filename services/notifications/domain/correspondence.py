"""What one order's customer is told: one e-mail per template and cause, never two."""

from typing import NamedTuple, assert_never
from uuid import UUID, uuid5

import msgspec

from services.notifications.domain.messages import MailRefused, MailTaken, SendEmail
from shared.events import Context, Effect, Items, LineQuantity, Money, Refused
from shared.events.notifications import (
    CorrespondenceOpened,
    NotificationFailed,
    NotificationRequested,
    NotificationSent,
    Template,
)
from shared.events.order import (
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderShipped,
    RefundIssued,
)

#: More messages about one order than any order can cause: beyond it something loops.
REQUESTED_MAX = 500

_NOTIFICATIONS = UUID("0b8f0f6a-0c6e-5f0a-9a44-2c1b6a7f3d52")

Told = OrderConfirmed | OrderRejected | OrderCancelled | OrderShipped | RefundIssued
CorrespondenceLog = (
    CorrespondenceOpened | NotificationRequested | NotificationSent | NotificationFailed
)


class Correspondence(msgspec.Struct, frozen=True):
    """Whom to write to about one order, and what was asked for already (``template cause``)."""

    channel: str = ""
    external_id: str = ""
    name: str = ""
    email: str = ""
    requested: tuple[str, ...] = ()


def stream_of(order_id: str) -> str:
    """The stream of an order's correspondence."""
    return f"correspondence-{order_id}"


def evolve(state: Correspondence, event: CorrespondenceLog) -> Correspondence:
    """Fold what happened."""
    match event:
        case CorrespondenceOpened():
            return Correspondence(
                channel=event.channel,
                external_id=event.external_id,
                name=event.name,
                email=event.email,
                requested=state.requested,
            )
        case NotificationRequested():
            asked = (*state.requested, _mark(event.template, event.cause_id))
            return msgspec.structs.replace(state, requested=asked)
        case NotificationSent() | NotificationFailed():
            return state
        case _:
            assert_never(event)


def open_for(state: Correspondence, order: OrderPlaced) -> Items:
    """Remember whom to write to. Orders without an e-mail address leave no trace."""
    if state.email or not order.customer.email:
        return []
    return [
        CorrespondenceOpened(
            order_id=order.order_id,
            channel=order.channel,
            external_id=order.external_id,
            name=order.customer.name,
            email=order.customer.email,
        )
    ]


class Facts(NamedTuple):
    """What a template tells besides order and name."""

    template: Template
    amount: Money | None = None
    reason: str = ""
    carrier: str = ""
    tracking_number: str = ""
    package_id: str = ""
    lines: tuple[LineQuantity, ...] = ()


def tell(state: Correspondence, event: Told, context: Context, *, send: bool) -> Items:
    """The e-mail that an event makes due, unless it was asked for before or nobody can be reached.

    Without ``send`` the request is recorded and nothing leaves the house.
    """
    if not state.email:
        return []
    facts = _facts(event)
    mark = _mark(facts.template, context.message_id)
    if mark in state.requested:
        return []
    if len(state.requested) >= REQUESTED_MAX:
        return [Refused(code="too-many-messages", detail=f"{REQUESTED_MAX} messages were sent")]
    notification_id = str(uuid5(_NOTIFICATIONS, f"{event.order_id} {mark}"))
    requested = NotificationRequested(
        order_id=event.order_id,
        notification_id=notification_id,
        template=facts.template,
        cause_id=context.message_id,
    )
    if not send:
        return [requested]
    mail = SendEmail(
        notification_id=notification_id,
        order_id=event.order_id,
        template=facts.template,
        to=state.email,
        name=state.name,
        channel=state.channel,
        external_id=state.external_id,
        at=context.now,
        amount=facts.amount,
        reason=facts.reason,
        carrier=facts.carrier,
        tracking_number=facts.tracking_number,
        package_id=facts.package_id,
        lines=facts.lines,
    )
    effect = Effect(id=f"mail:{notification_id}", subject=requested.subject, request=mail)
    return [requested, effect]


def settle(_: Correspondence, answer: MailTaken | MailRefused, __: Context) -> Items:
    """What the mail server said, as an event. An answer comes once: it settles its effect."""
    if isinstance(answer, MailTaken):
        return [
            NotificationSent(
                order_id=answer.order_id,
                notification_id=answer.notification_id,
                message_id=answer.message_id,
            )
        ]
    return [
        NotificationFailed(
            order_id=answer.order_id,
            notification_id=answer.notification_id,
            reason=answer.reason,
        )
    ]


def _mark(template: str, cause_id: str) -> str:
    return f"{template} {cause_id}"


def _facts(event: Told) -> Facts:
    match event:
        case OrderConfirmed():
            return Facts("order_confirmed", amount=event.total)
        case OrderRejected():
            return Facts("order_rejected", reason=event.reason)
        case OrderCancelled():
            return Facts("order_cancelled", reason=event.reason)
        case OrderShipped():
            return Facts(
                "order_shipped",
                carrier=event.carrier,
                tracking_number=event.tracking_number,
                package_id=event.package_id,
                lines=event.lines,
            )
        case RefundIssued():
            return Facts("refund_issued", amount=event.amount)
        case _:
            assert_never(event)
