"""The documents for accounting over HTTP: JSON and CSV from any position, and readers' cursors."""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from services.integrations.domain.cursors import AcknowledgeDocuments, MoveCursor, RewindDocuments
from services.integrations.erp import documents
from services.integrations.erp.csvrows import as_csv
from services.integrations.erp.documents import Row
from shared.events.erp import CreditNote, Invoice, SalesOrder
from shared.service import (
    IdempotencyKey,
    Identifier,
    Input,
    Position,
    Principal,
    Role,
    Text,
    idempotency,
    require,
    router,
)
from shared.service.commands import answer
from shared.service.pagination import LIMIT_MAX, Limit
from shared.service.reading import read_states
from shared.service.runtime import Runtime

Reader = Annotated[Principal, Depends(require(Role.OPS, Role.AUDITOR))]
Key = Annotated[IdempotencyKey, Depends(idempotency)]
After = Annotated[Position, Query(description="Position of the last document that you have")]
Kind = Literal["sales_order", "invoice", "credit_note"]
Of = Annotated[Kind | None, Query(description="Only documents of this kind")]

_TAGS = {"sales_order": SalesOrder.tag(), "invoice": Invoice.tag(), "credit_note": CreditNote.tag()}


StrictPosition = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class CsvResponse(Response):
    """A table (RFC 4180); Starlette adds the charset."""

    media_type = "text/csv"


class AcknowledgeIn(Input):
    """The position of the last document that arrived."""

    position: StrictPosition


class RewindIn(Input):
    """The position after which to go on, and why."""

    position: StrictPosition
    reason: Text


def routes(runtime: Runtime) -> APIRouter:
    """The routes of the feed."""
    r = router(prefix="/erp", tags=["erp"])
    _documents(r, runtime)
    _cursors(r, runtime)
    return r


def _documents(r: APIRouter, runtime: Runtime) -> None:
    @r.get("/documents")
    async def listed(who: Reader, kind: Of = None, after: After = 0, limit: Limit = 50) -> Response:
        """Documents in order. Positions have no gaps: go on from the last, or follow the Link header."""
        found = await documents.page(runtime.store, after, limit, _tag(kind))
        return _json("/erp/documents", found, after, limit, kind)

    @r.get("/documents.csv", response_class=CsvResponse)
    async def table(who: Reader, kind: Of = None, after: After = 0, limit: Limit = 50) -> Response:
        """The same as CSV: a row for every line and charge; ``limit`` counts documents."""
        found = await documents.page(runtime.store, after, limit, _tag(kind))
        headers = _links("/erp/documents.csv", found, after, limit, kind)
        return CsvResponse(as_csv(found), headers=headers)


def _cursors(r: APIRouter, runtime: Runtime) -> None:
    @r.get("/cursors")
    async def cursors(who: Reader) -> dict[str, Any]:
        """Every reader, where it is and how far behind."""
        names = await documents.cursor_names(runtime.store, LIMIT_MAX)
        states = await read_states(runtime.table, runtime.store, map(_stream, names))
        last = await documents.last(runtime.store)
        return {
            "items": [
                {"cursor": name, "position": at, "behind": last - at}
                for name in names
                for at in [states[_stream(name)].state.position]
            ],
            "last": last,
        }

    @r.get("/cursors/{cursor}/documents")
    async def waiting(cursor: Identifier, who: Reader, limit: Limit = 50) -> Response:
        """What a reader has not acknowledged, oldest first. Reading moves nothing; a new name starts at the beginning."""
        at = await position_of(runtime, cursor)
        found = await documents.page(runtime.store, at, limit)
        return _json("/erp/documents", found, at, limit, None)

    @r.post("/cursors/{cursor}/acknowledge", status_code=200)
    async def acknowledge(
        cursor: Identifier, body: AcknowledgeIn, who: Reader, key: Key
    ) -> Response:
        """Everything up to a position has arrived. It never moves a cursor back."""
        command = AcknowledgeDocuments(cursor=cursor, position=body.position)
        return await _move(runtime, command, who, key)

    @r.post("/cursors/{cursor}/rewind", status_code=200)
    async def rewind(cursor: Identifier, body: RewindIn, who: Reader, key: Key) -> Response:
        """Go on after another position: earlier documents are handed out again."""
        command = RewindDocuments(cursor=cursor, position=body.position, reason=body.reason)
        return await _move(runtime, command, who, key)


async def position_of(runtime: Runtime, cursor: str) -> int:
    """Where a reader is; 0 for one that nobody has heard of."""
    found = await read_states(runtime.table, runtime.store, [_stream(cursor)])
    return found[_stream(cursor)].state.position if found else 0


async def _move(
    runtime: Runtime, command: MoveCursor, who: Principal, key: IdempotencyKey
) -> Response:
    def shown(cursor: Any) -> dict[str, Any]:
        return {"cursor": command.cursor, "position": cursor.position}

    return await answer(runtime.writer, command, who, key, shown, status=200)


def _stream(cursor: str) -> str:
    return f"erpcursor-{cursor}"


def _tag(kind: Kind | None) -> str | None:
    return _TAGS[kind] if kind else None


def _json(path: str, found: list[Row], after: int, limit: int, kind: Kind | None) -> Response:
    body = {
        "items": [msgspec.Raw(x.document) for x in found],
        "after": found[-1].position if found else after,
    }
    headers = _links(path, found, after, limit, kind)
    return Response(msgspec.json.encode(body), headers=headers, media_type="application/json")


def _links(
    path: str, found: list[Row], after: int, limit: int, kind: Kind | None
) -> dict[str, str]:
    """RFC 8288: the page after this one, unless this one was not full."""
    if len(found) < limit:
        return {}
    query: dict[str, str | int] = {"after": found[-1].position, "limit": limit}
    if kind:
        query["kind"] = kind
    return {"Link": f'<{path}?{urlencode(query)}>; rel="next"'}
