"""How a return ends: the order service refunds, or owes nothing, or cannot."""

from services.returns.domain.refusals import misaddressed, wrong_state
from services.returns.domain.state import Return, Stage
from shared.events import Context, Event, Items, Money, Refused, States
from shared.events.order import RefundFailed, RefundIssued, ReturnAccepted
from shared.events.returns import RefundNotPaid, ReturnSettled

Refund = ReturnAccepted | RefundIssued | RefundFailed


def streams(event: Refund) -> tuple[str, ...]:
    """The return that a refund is for; none for a refund with another cause."""
    return (f"return-{event.return_id}",) if event.return_id else ()


def accepted(states: States, event: ReturnAccepted, _: Context) -> Items:
    """Nothing is owed (every unit was missing, or free): the return is settled without a refund.

    Otherwise the refund's own outcome settles it.
    """
    if not event.return_id or event.refund.amount:
        return []
    return _settle(states, event, event.refund)


def issued(states: States, event: RefundIssued, _: Context) -> Items:
    """The refund was paid."""
    return _settle(states, event, event.amount) if event.return_id else []


def failed(states: States, event: RefundFailed, _: Context) -> Items:
    """The return stays inspected; why is kept for the person who must pay by other means."""
    if not event.return_id:
        return []
    noted = RefundNotPaid(
        return_id=event.return_id,
        order_id=event.order_id,
        refund_id=event.refund_id,
        reason=event.reason,
    )
    state: Return = states[f"return-{event.return_id}"]
    return _inspected(state, event) or ([] if state.refund_problem == event.reason else [noted])


def _settle(states: States, event: ReturnAccepted | RefundIssued, amount: Money) -> Items:
    state: Return = states[f"return-{event.return_id}"]
    if state.stage is Stage.SETTLED:
        return []
    settled: Event = ReturnSettled(
        return_id=event.return_id,
        order_id=event.order_id,
        refund_id=event.refund_id,
        amount=amount,
    )
    return _inspected(state, event) or [settled]


def _inspected(state: Return, event: Refund) -> Items:
    """Empty if the return waits for its refund; else the refusal."""
    refused: Refused | None = misaddressed(state, event.return_id, event.order_id)
    if refused is None and state.stage is not Stage.INSPECTED:
        refused = wrong_state(state, event.return_id)
    return [] if refused is None else [refused]
