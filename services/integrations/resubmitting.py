"""Reading a refused input again, by the adapter that refused it."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from services.integrations.channels import filedrop
from services.integrations.domain.messages import CloseRefusal, Inbound
from services.integrations.intake import Taken, take
from shared.ledger.store import Unavailable
from shared.ledger.work import Overloaded
from shared.ledger.writer import Writer
from shared.service import Principal, Problem

#: A refused input (a row of the list) and the payload to read, to the inputs that its adapter finds in it.
Adapter = Callable[[dict[str, Any], str], Iterable[Inbound]]


def _file(kind: str) -> Adapter:
    def adapter(refused: dict[str, Any], payload: str) -> Iterable[Inbound]:
        name = str(refused["reference"]).partition(":")[0]
        return filedrop.inputs_of(payload, kind, refused["channel"], name)

    return adapter


def _for(refusal_id: str, inputs: list[Inbound]) -> list[Inbound]:
    """One input settles the refusal itself, or stays under it. Of several each stands on its own, and the refusal is
    closed after the last."""
    if len(inputs) == 1:
        return [replace(inputs[0], resubmits=refusal_id)]
    close = CloseRefusal(source="resubmission", reference=refusal_id, resubmits=refusal_id)
    return [*inputs, close] if inputs else []


ADAPTERS: dict[str, Adapter] = {
    "file.jsonl": _file("jsonl"),
    "file.csv": _file("csv"),
    "import": _file("jsonl"),  # the importer leaves order documents
}


def _adapter(source: str) -> Adapter | None:
    return ADAPTERS.get(source) or ADAPTERS.get(source.partition(".")[0])


async def resubmit(
    writer: Writer, refused: dict[str, Any], corrected: str | None, who: Principal
) -> Taken:
    """Have the input's own adapter read it once more. Raises `Problem` 409 when it was taken already, 503 when the
    store is away."""
    if refused["resubmitted"]:
        raise Problem(
            409,
            "already-resubmitted",
            "It was taken already",
            detail=f"Refused input {refused['refusal_id']} was resubmitted and taken; nothing is left to do.",
        )
    adapter = _adapter(refused["source"])
    if adapter is None:
        raise Problem(
            409,
            "not-resubmittable",
            "It cannot be read again",
            detail=f"Inputs from {refused['source']} cannot be read again here; send them anew at their source.",
        )
    payload = refused["payload"] if corrected is None else corrected
    inputs = _for(refused["refusal_id"], list(adapter(refused, payload)))
    try:
        return await take(writer, inputs, who.subject)
    except (Unavailable, Overloaded) as error:
        raise Problem(
            503,
            "try-again",
            "The service cannot write now",
            detail="Resubmit it again: what was taken is not taken twice.",
            retry_after_s=1,
        ) from error
