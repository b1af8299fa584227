"""From what an adapter read to what is durable: inputs in, and what came of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from services.integrations.domain.messages import Inbound, RefuseInput, TakeOrder
from shared.events.integrations import InputRefused, InputResubmitted
from shared.ledger.work import Outcome, Task, Unit
from shared.ledger.writer import Writer
from shared.service.ids import new_id

log = structlog.get_logger()

#: Inputs that are handed to the writer together.
CHUNK = 200
#: Characters of a payload that are kept when it is refused.
PAYLOAD_MAX = 500_000


@dataclass(slots=True)
class Taken:
    """What came of inputs: how many went on, how many said nothing new, and why the others were refused."""

    accepted: int = 0
    known: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    def add(self, inbound: Inbound, outcome: Outcome) -> None:
        """Count one input."""
        if isinstance(inbound, RefuseInput):
            self.refused.append((inbound.reference, inbound.detail))
        elif outcome.refused is not None:
            self.refused.append((inbound.reference, outcome.refused.detail))
        elif all(isinstance(e, InputRefused | InputResubmitted) for e in outcome.events):
            self.known += 1
        else:
            self.accepted += 1


async def take(writer: Writer, inputs: Sequence[Inbound], actor: str) -> Taken:
    """Have inputs decided in order, each on its own. Raises `Unavailable` or `Overloaded`: then send all of them again,
    which is safe."""
    taken = Taken()
    for start in range(0, len(inputs), CHUNK):
        chunk = inputs[start : start + CHUNK]
        results = await writer.submit(Unit([_task(x, actor) for x in chunk]))
        for inbound, result in zip(chunk, results, strict=True):
            if isinstance(result, Exception):
                log.warning("input_not_written", reference=inbound.reference, error=str(result))
                unusable = _unusable(inbound, result)
                taken.add(inbound, await writer.handle(_task(unusable, actor)))
            else:
                taken.add(inbound, result)
    return taken


def _task(inbound: Inbound, actor: str) -> Task:
    return Task(message=inbound, id=f"request:{new_id()}", actor=actor)


def _unusable(inbound: Inbound, error: Exception) -> RefuseInput:
    """What the decider or the database would not have is kept for a person like any other refused input."""
    channel = inbound.order.channel if isinstance(inbound, TakeOrder) else ""
    return RefuseInput(
        source=inbound.source,
        reference=inbound.reference,
        payload=inbound.payload,
        resubmits=inbound.resubmits,
        channel=channel,
        reason="unwritable",
        detail=f"{type(error).__name__}: {error}"[:2000],
    )


def storable(text: str) -> str:
    """A payload as it came, but for NUL, which the database cannot hold and which shows as U+2400, and no longer than
    `PAYLOAD_MAX`."""
    return text[:PAYLOAD_MAX].replace("\x00", "\u2400")
