"""One input that was not taken, kept for a person until it is resubmitted."""

from typing import assert_never

import msgspec
from msgspec.structs import replace

from services.integrations.domain.messages import Inbound, RefuseInput
from shared.events import Context, Items
from shared.events.integrations import InputRefused, InputResubmitted

Event = InputRefused | InputResubmitted


class Refusal(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """``reason`` is empty where nothing was refused; ``resubmitted`` once it was taken after all."""

    reason: str = ""
    detail: str = ""
    resubmitted: bool = False


def evolve(state: Refusal, event: Event) -> Refusal:
    """The state after an event."""
    match event:
        case InputRefused():
            return replace(state, reason=event.reason, detail=event.detail)
        case InputResubmitted():
            return replace(state, resubmitted=True)
        case _:
            assert_never(event)


def refuse(state: Refusal, command: RefuseInput, context: Context) -> Items:
    """Keep an input that its adapter could not use; the same again is kept once."""
    return keep(state, command, command.channel, command.reason, command.detail)


def keep(state: Refusal, command: Inbound, channel: str, reason: str, detail: str) -> Items:
    """The refusal, unless it is known. A resubmission that is refused again changes nothing but the reason."""
    if state.resubmitted or (state.reason, state.detail) == (reason, detail):
        return []
    return [
        InputRefused(
            refusal_id=command.refusal_id,
            source=command.source,
            channel=channel,
            reference=command.reference,
            payload=command.payload,
            reason=reason,
            detail=detail,
        )
    ]


def settled(state: Refusal, command: Inbound, context: Context) -> Items:
    """A refused input that was read again was taken: close it, once."""
    if not command.resubmits or not state.reason or state.resubmitted:
        return []
    return [
        InputResubmitted(refusal_id=command.resubmits, actor=context.actor, payload=command.payload)
    ]
