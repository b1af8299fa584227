"""What a decider is told besides the command, and what it may answer with.

Answers are data. The ledger appends events, sends commands and keeps timers and effects in one transaction; folding the
log again therefore repeats none of them.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from shared.events.message import Command, Event


class Context(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What surrounds one message: deciders have no clock and make no ids, so both arrive here.

    ``now`` is UTC; ``message_id`` is unique to the message and the same at every attempt.
    """

    now: datetime
    message_id: str
    correlation_id: str = ""
    actor: str = ""


class StartTimer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Deliver ``message`` to this service at ``due_at``, unless cancelled or started anew under the same name."""

    name: str
    due_at: datetime
    message: Command


class CancelTimer(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Forget the timer ``name`` of a stream; nothing happens if there is none."""

    subject: str
    name: str


class Effect(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call to the outside, made after commit and until it is answered.

    ``id`` is the idempotency key that the outside sees; ``request`` a tagged struct that a performer knows.
    """

    id: str
    subject: str
    request: msgspec.Struct


class Refused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A business refusal: nothing happened, and this is why. Answered to a caller; of a message from a topic, counted and
    logged."""

    code: str
    detail: str


Item = Event | Command | StartTimer | CancelTimer | Effect | Refused
Items = list[Item]
States = Mapping[str, Any]
