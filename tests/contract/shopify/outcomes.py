"""Every Shopify payload of the real archive through the adapter and the deciders: what comes of it, and the table in
``docs/shopify.md``.

``python -m tests.contract.shopify.outcomes`` writes the table anew.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from services.integrations.channels.shopify.webhooks import Noted, Webhook, read
from services.integrations.domain.messages import RefuseInput, TakeCancellation, TakeOrder
from services.integrations.handlers import table
from shared.events import Refused
from tests.spec import given

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("OMS_DATA") or ROOT.parent / "shared" / "data")
ARCHIVE = DATA / "messages.tar.xz"
DOC = ROOT / "docs" / "shopify.md"
BEGIN, END = "<!-- outcomes -->", "<!-- end of outcomes -->"
FOLDER = "messages/shopify/"
PARTS_OF_ORDERS = ("orderlineitems", "shippinglines")


class Payload(NamedTuple):
    """One file: its path in the archive, the topic under which it would come, and the body."""

    path: str
    topic: str
    body: bytes


class Outcome(NamedTuple):
    """What came of it: taken, noted or refused, and why."""

    what: str
    why: str


def payloads(archive: Path = ARCHIVE) -> Iterator[Payload]:
    """Every JSON file of the archive's Shopify folder, in order of its path."""
    found: list[Payload] = []
    with tarfile.open(archive, "r:*") as files:
        for member in files:
            if member.isfile() and member.name.startswith(FOLDER) and member.name.endswith(".json"):
                stream = files.extractfile(member)
                assert stream is not None
                found.append(_payload(member.name.removeprefix(FOLDER), stream.read()))
    yield from sorted(found)


def _payload(path: str, data: bytes) -> Payload:
    """A documented webhook wraps its payload in ``response``; a REST document is what it is, under the topic that it
    resembles most."""
    if path.startswith("2026-04/"):
        described = json.loads(data)
        return Payload(path, described["name"], json.dumps(described["response"]).encode())
    folder, _, stem = path.removesuffix(".json").rpartition("/")
    if folder.endswith(PARTS_OF_ORDERS) or stem.startswith("order"):
        return Payload(path, "orders/create", data)
    return Payload(path, f"{stem}s/create" if not stem.endswith("s") else f"{stem}/create", data)


def outcome(payload: Payload) -> Outcome:
    """What comes of a payload in a system that has heard nothing before."""
    webhook = Webhook(payload.topic, "w1", payload.body, "shop")
    found = read(webhook, "tok_ok")
    if isinstance(found, Noted):
        return Outcome("noted", found.why)
    if isinstance(found, RefuseInput):
        return Outcome("refused", f"`{found.reason}`: {found.detail}")
    items = given(table()).when(found).items
    for item in items:
        if isinstance(item, Refused):
            return Outcome("refused", f"`{item.code}`: {item.detail}")
    assert isinstance(found, TakeOrder | TakeCancellation), payload.path
    what = "placed" if isinstance(found, TakeOrder) else "a cancellation (it arrives cancelled)"
    return Outcome("taken", what)


def rows() -> list[str]:
    """The table of outcomes, a line each."""
    out = ["| file | topic | outcome | why |", "|---|---|---|---|"]
    for payload in payloads():
        what, why = outcome(payload)
        out.append(f"| {payload.path} | {payload.topic} | {what} | {why.replace('|', '/')} |")
    return out


def written() -> list[str]:
    """The table as the document has it."""
    _, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
    return rest.partition(END)[0].strip().splitlines()


def main() -> None:
    """Write the table into the document."""
    before, _, rest = DOC.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    text = "\n".join([before + BEGIN, *rows(), END + after])
    DOC.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
