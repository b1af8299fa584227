"""The state of one return, and how its events fold into it."""

from enum import StrEnum
from typing import assert_never

import msgspec

from services.returns.domain.units import Key, tally
from shared.events import LineQuantity, Money
from shared.events.returns import (
    InspectedLine,
    RefundNotPaid,
    ReturnApproved,
    ReturnCancelled,
    ReturnDeclined,
    ReturnInspected,
    ReturnReceived,
    ReturnRequested,
    ReturnSettled,
)

Happened = (
    ReturnRequested
    | ReturnApproved
    | ReturnDeclined
    | ReturnCancelled
    | ReturnReceived
    | ReturnInspected
    | ReturnSettled
    | RefundNotPaid
)


class Stage(StrEnum):
    """How far a return has come."""

    UNKNOWN = "UNKNOWN"
    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    CANCELLED = "CANCELLED"
    PARTIALLY_RECEIVED = "PARTIALLY_RECEIVED"
    RECEIVED = "RECEIVED"
    INSPECTED = "INSPECTED"
    SETTLED = "SETTLED"


class Line(msgspec.Struct, frozen=True, array_like=True):
    """Units of an order line that are to come back, and that have."""

    line_id: str
    sku: str
    requested: int
    received: int = 0

    @property
    def outstanding(self) -> int:
        """Units not yet received."""
        return self.requested - self.received


class Return(msgspec.Struct, frozen=True, array_like=True):
    """One return (RMA).

    ``receipts`` holds what each receipt id counted, ``location`` where the last one arrived,
    ``inspected`` the dispositions, ``refund_problem`` why the refund needs a person.
    """

    order_id: str = ""
    stage: Stage = Stage.UNKNOWN
    lines: tuple[Line, ...] = ()
    receipts: dict[str, tuple[LineQuantity, ...]] = {}
    location: str = ""
    inspected: tuple[InspectedLine, ...] = ()
    refund_problem: str = ""
    refund: Money | None = None

    @property
    def requested(self) -> dict[Key, int]:
        """Units by line that are to come back."""
        return {(x.line_id, x.sku): x.requested for x in self.lines}

    @property
    def received(self) -> dict[Key, int]:
        """Units by line that came back."""
        return {(x.line_id, x.sku): x.received for x in self.lines}

    @property
    def outstanding(self) -> dict[Key, int]:
        """Units by line that have not come back yet."""
        return {(x.line_id, x.sku): x.outstanding for x in self.lines}


def initial() -> Return:
    """A return that nobody has asked for."""
    return Return()


def evolve(state: Return, event: Happened) -> Return:
    """The state after one more event."""
    match event:
        case ReturnRequested():
            lines = tuple(Line(*key, requested=n) for key, n in tally(event.lines).items())
            return Return(order_id=event.order_id, stage=Stage.REQUESTED, lines=lines)
        case ReturnApproved():
            return msgspec.structs.replace(state, stage=Stage.APPROVED)
        case ReturnDeclined():
            return msgspec.structs.replace(state, stage=Stage.DECLINED)
        case ReturnCancelled():
            return msgspec.structs.replace(state, stage=Stage.CANCELLED)
        case ReturnReceived():
            return _received(state, event)
        case ReturnInspected():
            return msgspec.structs.replace(state, stage=Stage.INSPECTED, inspected=event.lines)
        case ReturnSettled():
            return msgspec.structs.replace(
                state, stage=Stage.SETTLED, refund=event.amount, refund_problem=""
            )
        case RefundNotPaid():
            return msgspec.structs.replace(state, refund_problem=event.reason)
    assert_never(event)


def _received(state: Return, event: ReturnReceived) -> Return:
    units = tally(event.lines)
    return msgspec.structs.replace(
        state,
        stage=Stage.PARTIALLY_RECEIVED if event.outstanding else Stage.RECEIVED,
        lines=tuple(
            msgspec.structs.replace(x, received=x.received + units.get((x.line_id, x.sku), 0))
            for x in state.lines
        ),
        receipts={**state.receipts, event.receipt_id: event.lines},
        location=event.location,
    )
