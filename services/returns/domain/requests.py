"""Asking for a return, and agreeing to it or not; claims on units change in the same step."""

from datetime import timedelta

import msgspec

from services.returns.domain import returnable
from services.returns.domain.refusals import misaddressed, wrong_state
from services.returns.domain.returnable import Returnable
from services.returns.domain.state import Return, Stage
from services.returns.domain.units import as_lines, bad_quantities, beyond, tally
from shared.events import Context, Items, Refused, States
from shared.events.limits import PLAIN_ID
from shared.events.returns import (
    ApproveReturn,
    CancelReturn,
    DeclineReturn,
    ItemsClaimed,
    ItemsUnclaimed,
    RequestReturn,
    ReturnApproved,
    ReturnAwaited,
    ReturnCancelled,
    ReturnCommand,
    ReturnDeclined,
    ReturnRequested,
)

#: Who approved, where no person had to.
POLICY = "policy"


class Policy(msgspec.Struct, frozen=True):
    """Which returns need no person: those asked for within ``window`` of the shipment."""

    window: timedelta = timedelta(days=30)

    def request_or_await(self, states: States, command: RequestReturn, context: Context) -> Items:
        """A return asked for on a topic, where nobody hears a refusal. The shipment travels on another topic and may come
        later: a return of more than has left is decided again with each further package."""
        known, shipped = _both(states, command)
        more = beyond(tally(command.lines), returnable.shipped(shipped), "not_shipped", "shipped")
        if known.stage is not Stage.UNKNOWN or more is None:
            return self.request(states, command, context)
        if command.return_id in shipped.awaited:
            return []
        if len(shipped.awaited) >= returnable.AWAITED_MAX:
            return [more]
        return [
            ReturnAwaited(
                return_id=command.return_id,
                order_id=command.order_id,
                lines=command.lines,
                actor=command.actor or context.actor,
            )
        ]

    def request(self, states: States, command: RequestReturn, context: Context) -> Items:
        """Claim the units, and approve at once where the policy does."""
        known, shipped = _both(states, command)
        asked = tally(command.lines)
        if known.stage is not Stage.UNKNOWN:
            return _again(known, command)
        if not PLAIN_ID.fullmatch(command.return_id):
            why = f"return id {command.return_id!r} must be at most 100 printable ASCII characters without spaces"
            return [Refused(code="return_id", detail=why)]
        if not command.lines:
            return [Refused(code="no_lines", detail="a return needs at least one line")]
        if refused := bad_quantities(command.lines):
            return [refused]
        if not shipped.packages:
            return [
                Refused(
                    code="not_shipped",
                    detail=f"nothing of order {command.order_id} is known to have left yet: "
                    "ask again once it has shipped",
                )
            ]
        left = returnable.left(shipped)
        if refused := beyond(asked, left, "not_returnable", "shipped and not claimed"):
            return [refused]
        ids = command.return_id, command.order_id
        actor = command.actor or context.actor
        items: Items = [
            ReturnRequested(return_id=ids[0], order_id=ids[1], lines=command.lines, actor=actor),
            ItemsClaimed(return_id=ids[0], order_id=ids[1], lines=as_lines(asked)),
        ]
        if returnable.within(shipped, asked, context.now, self.window):
            items.append(ReturnApproved(return_id=ids[0], order_id=ids[1], actor=POLICY))
        return items


def _again(known: Return, command: RequestReturn) -> Items:
    """A return id that was used before: nothing for the same request, a refusal for another."""
    if known.order_id == command.order_id and known.requested == tally(command.lines):
        return []
    return [
        Refused(
            code="return_exists",
            detail=f"return {command.return_id} is {known.stage} for other units: use a new id",
        )
    ]


def approve(states: States, command: ApproveReturn, context: Context) -> Items:
    """A person agrees; nothing if it was agreed before."""
    state, _ = _both(states, command)
    if refused := misaddressed(state, command.return_id, command.order_id):
        return [refused]
    match state.stage:
        case Stage.REQUESTED:
            return [
                ReturnApproved(
                    return_id=command.return_id,
                    order_id=command.order_id,
                    actor=command.actor or context.actor,
                )
            ]
        case Stage.DECLINED | Stage.CANCELLED:
            return [wrong_state(state, command.return_id)]
        case _:
            return []


def decline(states: States, command: DeclineReturn, context: Context) -> Items:
    """A person refuses; the units may be claimed again."""
    state, _ = _both(states, command)
    if refused := misaddressed(state, command.return_id, command.order_id):
        return [refused]
    match state.stage:
        case Stage.REQUESTED:
            declined = ReturnDeclined(
                return_id=command.return_id,
                order_id=command.order_id,
                reason=command.reason,
                actor=command.actor or context.actor,
            )
            return [declined, _unclaimed(state, command)]
        case Stage.DECLINED:
            return []
        case _:
            return [wrong_state(state, command.return_id)]


def cancel(states: States, command: CancelReturn, context: Context) -> Items:
    """The shopper keeps the goods; the units may be claimed again. Not once something came back."""
    state, _ = _both(states, command)
    if refused := misaddressed(state, command.return_id, command.order_id):
        return [refused]
    match state.stage:
        case Stage.REQUESTED | Stage.APPROVED:
            cancelled = ReturnCancelled(
                return_id=command.return_id,
                order_id=command.order_id,
                actor=command.actor or context.actor,
            )
            return [cancelled, _unclaimed(state, command)]
        case Stage.CANCELLED:
            return []
        case _:
            return [wrong_state(state, command.return_id)]


def _unclaimed(state: Return, command: ReturnCommand) -> ItemsUnclaimed:
    return ItemsUnclaimed(
        return_id=command.return_id,
        order_id=command.order_id,
        lines=as_lines(state.requested),
    )


def _both(states: States, command: ReturnCommand) -> tuple[Return, Returnable]:
    return states[command.subject], states[f"returnable-{command.order_id}"]
