"""Reading a refused input again, by the adapter that refused it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from services.integrations.channels import filedrop
from services.integrations.channels.shopify import webhooks
from services.integrations.channels.shopify.webhooks import Noted, Webhook
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


def _shopify(payment_method: str) -> Adapter:
    def adapter(refused: dict[str, Any], payload: str) -> Iterable[Inbound]:
        topic = str(refused["source"]).removeprefix(webhooks.SOURCE)
        webhook = Webhook(topic, refused["reference"], payload.encode(), refused["channel"])
        found = webhooks.read(webhook, payment_method)
        if isinstance(found, Noted):  # by now there is nothing to do
            return [CloseRefusal(source=refused["source"], reference=refused["reference"])]
        return [found]

    return adapter


def adapters(payment_method: str) -> Mapping[str, Adapter]:
    """The adapters by source, or by what stands before its first dot. Orders paid in a shop are authorised by
    ``payment_method``."""
    return {
        "file.jsonl": _file("jsonl"),
        "file.csv": _file("csv"),
        "import": _file("jsonl"),  # the importer leaves order documents
        "shopify": _shopify(payment_method),
    }


async def resubmit(
    writer: Writer,
    readers: Mapping[str, Adapter],
    refused: dict[str, Any],
    corrected: str | None,
    who: Principal,
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
    source = str(refused["source"])
    adapter = readers.get(source) or readers.get(source.partition(".")[0])
    if adapter is None:
        raise Problem(
            409,
            "not-resubmittable",
            "It cannot be read again",
            detail=f"Inputs from {source} cannot be read again here; send them anew at their source.",
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
