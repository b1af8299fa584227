"""Refusals: where things stand, and what is possible instead."""

from services.returns.domain.state import Return, Stage
from shared.events import Refused

#: What may be done at each stage, in words.
POSSIBLE = {
    Stage.UNKNOWN: "request it first",
    Stage.REQUESTED: "approve, decline or cancel it",
    Stage.APPROVED: "receive it, or cancel it",
    Stage.DECLINED: "it has ended; a new return may be requested",
    Stage.CANCELLED: "it has ended; a new return may be requested",
    Stage.PARTIALLY_RECEIVED: "receive the rest, or inspect what is there",
    Stage.RECEIVED: "inspect it",
    Stage.INSPECTED: "the refund is under way",
    Stage.SETTLED: "nothing is left to do",
}
#: The same of an inspected one whose refund the provider refused.
PAY_ELSEWHERE = "the refund was refused: a person pays it by other means"


def misaddressed(state: Return, return_id: str, order_id: str) -> Refused | None:
    """A refusal if the return is unknown, or belongs to another order than is said."""
    if state.stage is Stage.UNKNOWN:
        return Refused(
            code="unknown_return",
            detail=f"there is no return {return_id}: {POSSIBLE[Stage.UNKNOWN]}",
        )
    if state.order_id != order_id:
        return Refused(
            code="wrong_order",
            detail=f"return {return_id} belongs to order {state.order_id}, not {order_id}: "
            "repeat with the right one",
        )
    return None


def wrong_state(state: Return, return_id: str) -> Refused:
    """The command is not for this stage."""
    return Refused(
        code="wrong_state",
        detail=f"return {return_id} is {state.stage}: {POSSIBLE[state.stage]}",
    )
