"""The returns service's language: a return (RMA) from request to settlement."""

from typing import ClassVar, Literal

import msgspec

from shared.events.message import Command, Event, Instant, LineQuantity, Money

Disposition = Literal[
    "restock", "quality_control", "refurbish", "scrap", "return_to_vendor", "missing"
]


class ReturnLine(msgspec.Struct, frozen=True, kw_only=True):
    """Units that a shopper wants to give back, and why."""

    line_id: str
    sku: str
    quantity: int
    reason: str = ""


class InspectedLine(msgspec.Struct, frozen=True, kw_only=True):
    """What inspection made of some units. ``missing`` units never arrived and are not refunded."""

    line_id: str
    sku: str
    quantity: int
    disposition: Disposition


class ReturnCommand(Command, frozen=True, kw_only=True):
    """A command to one return."""

    return_id: str
    order_id: str

    @property
    def subject(self) -> str:
        return f"return-{self.return_id}"

    @property
    def key(self) -> str:
        return self.order_id


class RequestReturn(ReturnCommand, frozen=True, kw_only=True, tag="oms.returns.request.v1"):
    """The shopper asks to send units back; the sender's ``return_id`` makes it idempotent."""

    lines: tuple[ReturnLine, ...]
    actor: str = ""


class ApproveReturn(ReturnCommand, frozen=True, kw_only=True, tag="oms.returns.approve.v1"):
    """A person agrees, where the policy did not do so by itself."""

    actor: str = ""


class DeclineReturn(ReturnCommand, frozen=True, kw_only=True, tag="oms.returns.decline.v1"):
    """A person refuses and says why."""

    reason: str
    actor: str = ""


class CancelReturn(ReturnCommand, frozen=True, kw_only=True, tag="oms.returns.cancel.v1"):
    """The shopper keeps the goods; only before anything was received."""

    actor: str = ""


class ReceiveReturn(ReturnCommand, frozen=True, kw_only=True, tag="oms.returns.receive.v1"):
    """Units came back to ``location``; ``receipt_id`` makes a repeated scan count once."""

    receipt_id: str
    location: str
    lines: tuple[LineQuantity, ...]


class InspectReturn(ReturnCommand, frozen=True, kw_only=True, tag="oms.returns.inspect.v1"):
    """Every received unit gets a disposition; a unit not received is ``missing``."""

    lines: tuple[InspectedLine, ...]
    actor: str = ""


class ReturnEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one return: stream ``return-<return_id>``."""

    return_id: str
    order_id: str

    @property
    def subject(self) -> str:
        return f"return-{self.return_id}"

    @property
    def key(self) -> str:
        return self.order_id


class ReturnRequested(ReturnEvent, frozen=True, kw_only=True, tag="oms.returns.requested.v1"):
    """REQUESTED: the units are set aside, so that no second return can claim them."""

    lines: tuple[ReturnLine, ...]
    actor: str


class ReturnApproved(ReturnEvent, frozen=True, kw_only=True, tag="oms.returns.approved.v1"):
    """APPROVED: the shopper may send the goods."""

    actor: str


class ReturnDeclined(ReturnEvent, frozen=True, kw_only=True, tag="oms.returns.declined.v1"):
    """DECLINED, with a reason."""

    reason: str
    actor: str


class ReturnCancelled(ReturnEvent, frozen=True, kw_only=True, tag="oms.returns.cancelled.v1"):
    """CANCELLED before receipt."""

    actor: str


class ReturnReceived(ReturnEvent, frozen=True, kw_only=True, tag="oms.returns.received.v1"):
    """PARTIALLY_RECEIVED, or RECEIVED when nothing is outstanding."""

    receipt_id: str
    location: str
    lines: tuple[LineQuantity, ...]
    outstanding: int


class ReturnInspected(ReturnEvent, frozen=True, kw_only=True, tag="oms.returns.inspected.v1"):
    """INSPECTED: dispositions stand; the order service owes the refund, inventory restocks."""

    location: str
    lines: tuple[InspectedLine, ...]
    actor: str


class ReturnSettled(ReturnEvent, frozen=True, kw_only=True, tag="oms.returns.settled.v1"):
    """SETTLED: the refund was paid, or none was owed (``amount`` 0)."""

    refund_id: str
    amount: Money


class RefundNotPaid(ReturnEvent, frozen=True, kw_only=True, tag="oms.returns.refund_not_paid.v1"):
    """Still INSPECTED: the provider refused the refund, so a person must pay it by other means."""

    private: ClassVar[bool] = True

    refund_id: str
    reason: str


class ReturnableEvent(Event, frozen=True, kw_only=True):
    """What may come back of one order: stream ``returnable-<order_id>``, private to returns."""

    private: ClassVar[bool] = True

    order_id: str

    @property
    def subject(self) -> str:
        return f"returnable-{self.order_id}"

    @property
    def key(self) -> str:
        return self.order_id


class ItemsReturnable(
    ReturnableEvent, frozen=True, kw_only=True, tag="oms.returns.items_returnable.v1"
):
    """A package left: its units may come back.

    ``shipped_at`` (UTC) is when the returns service learned of it; the window counts from then.
    """

    package_id: str
    lines: tuple[LineQuantity, ...]
    shipped_at: Instant


class ItemsClaimed(ReturnableEvent, frozen=True, kw_only=True, tag="oms.returns.items_claimed.v1"):
    """A return laid claim to units."""

    return_id: str
    lines: tuple[LineQuantity, ...]


class ItemsUnclaimed(
    ReturnableEvent, frozen=True, kw_only=True, tag="oms.returns.items_unclaimed.v1"
):
    """A return gave up its claim (declined, cancelled, or units missing)."""

    return_id: str
    lines: tuple[LineQuantity, ...]


class ReturnAwaited(ReturnableEvent, frozen=True, kw_only=True, tag="oms.returns.awaited.v1"):
    """A return of more than is known to have left was asked for; it is decided again with the next package."""

    return_id: str
    lines: tuple[ReturnLine, ...]
    actor: str
