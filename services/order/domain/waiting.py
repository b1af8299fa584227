"""Deadlines and holds: an order that does not move on is seen by a person, never forgotten."""

from services.order.domain.messages import OrderDeadline
from services.order.domain.state import Order
from shared.events import Context, Items, Refused
from shared.events.order import HoldPlaced, HoldReleased, OrderRejected, ReleaseHold


def deadline(state: Order, message: OrderDeadline, context: Context) -> Items:
    """The step that was waited for is not over: end the order where that is the rule, else hold it for a person."""
    if not _still(state, message.step):
        return []
    if message.step == "backordered":
        return [
            OrderRejected(
                order_id=state.order_id,
                reason="out_of_stock",
                detail="the stock waited for did not come in time",
            )
        ]
    kind = "fulfillment" if message.step == "confirmed" else "manual"
    return [
        HoldPlaced(
            order_id=state.order_id,
            hold_id=f"{state.order_id}.h{state.holds_placed + 1}",
            kind=kind,  # type: ignore[arg-type]
            reason=f"still {message.step} after its deadline",
        )
    ]


def _still(state: Order, step: str) -> bool:
    """Whether the order stands at a step. Of one that is being cancelled only *confirmed* may still matter: a warehouse
    that cannot stop lets it go on, without a later deadline."""
    if step == "cancelling":
        return is_live(state) and state.cancelling != ""
    return step == current_step(state) and (step == "confirmed" or not state.cancelling)


def is_live(state: Order) -> bool:
    """Whether somebody still waits for the order."""
    return state.status in ("placed", "confirmed")


def current_step(state: Order) -> str:
    """The step that the order's deadline watches."""
    if state.status == "placed" and state.reservation == "backordered":
        return "backordered"
    return state.status


def release(state: Order, command: ReleaseHold, context: Context) -> Items:
    """A person has seen to it: go on."""
    if command.hold_id not in state.holds:
        return [
            Refused(
                code="hold_unknown",
                detail=f"no open hold {command.hold_id}; open: {list(state.holds)}",
            )
        ]
    return [
        HoldReleased(
            order_id=state.order_id,
            hold_id=command.hold_id,
            actor=context.actor or command.actor,
            note=command.note,
        )
    ]
