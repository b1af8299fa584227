"""From an HTTP request to a command, and from what was decided to an answer."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import Response

from shared.events import Command
from shared.ledger.batch import TooLarge
from shared.ledger.store import Answer, Unavailable, Unwritable
from shared.ledger.work import IdempotencyMismatch, Outcome, Overloaded, Task
from shared.ledger.writer import Writer
from shared.service.hot import Reply
from shared.service.idempotency import IdempotencyKey, mismatch
from shared.service.ids import new_id
from shared.service.problems import Problem
from shared.service.security import Principal
from shared.service.telemetry import current, set_order

#: What an outcome is answered with: a status and a JSON body.
Respond = Callable[[Outcome], tuple[int, Any]]

#: A request is answered within this time, also when the database neither works nor fails.
ANSWER_SECONDS_MAX = 10.0

REPLAYED = ((b"idempotent-replayed", b"true"),)


async def decide(
    writer: Writer, command: Command, who: Principal, key: IdempotencyKey | None, respond: Respond
) -> Reply:
    """Have a command decided, durably, and answer it; the same key gets the same answer without deciding again.

    A refusal becomes a 409 problem. Raises `Problem` 503 when the store is away or too much waits: the request is then
    wholly applied or wholly absent, and the same key may be sent again.
    """
    trace = current()
    if order_id := getattr(command, "order_id", ""):
        set_order(order_id)
    task = Task(
        message=command,
        id=f"request:{new_id()}",
        actor=who.subject,
        traceparent=trace.traceparent if trace else "",
        idempotency=(key.scope, key.key, key.fingerprint) if key else None,
        respond=_stored(respond, key.fingerprint) if key else None,
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            outcome = await writer.handle(task)
    except IdempotencyMismatch:
        raise mismatch() from None
    except (Unavailable, Overloaded, TimeoutError) as error:
        raise Problem(
            503,
            "try-again",
            "The service cannot write now",
            detail="Nothing is known to have happened. Send the same request with the same Idempotency-Key again.",
            retry_after_s=1,
        ) from error
    except TooLarge as error:
        raise Problem(
            413, "request-too-large", "The request is too large", detail=f"{error}; split it."
        ) from error
    except Unwritable as error:
        raise Problem(
            422, "unwritable", "The request cannot be stored", detail=str(error).splitlines()[0]
        ) from error
    if outcome.answer is not None:
        return _reply(outcome.answer.status, outcome.answer.body, replayed=outcome.skipped)
    status, body = _respond(respond, outcome)
    return _reply(status, msgspec.json.encode(body), replayed=False)


def _respond(respond: Respond, outcome: Outcome) -> tuple[int, Any]:
    if outcome.refused is not None:
        return 409, {"code": outcome.refused.code, "detail": outcome.refused.detail}
    return respond(outcome)


def _stored(respond: Respond, fingerprint: bytes) -> Callable[[Outcome], Answer]:
    def answer(outcome: Outcome) -> Answer:
        status, body = _respond(respond, outcome)
        return Answer(fingerprint, status, msgspec.json.encode(body))

    return answer


def _reply(status: int, body: bytes, *, replayed: bool) -> Reply:
    headers = REPLAYED if replayed else ()
    if status < 400:
        return Reply(status, body, headers)
    problem = msgspec.json.decode(body)
    raise Problem(
        status,
        str(problem["code"]).replace("_", "-"),
        "Refused" if status == 409 else "Invalid",
        detail=problem["detail"],
        headers={name.decode(): value.decode() for name, value in headers},
    )


def as_response(reply: Reply) -> Response:
    """A reply as the response of a FastAPI route."""
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.content, reply.status, headers, media_type="application/json")


async def answer(
    writer: Writer,
    command: Command,
    who: Principal,
    key: IdempotencyKey,
    shown: Callable[[Any], Any],
    *,
    status: int = 202,
) -> Response:
    """Have a command decided (see `decide`), and answer a FastAPI route with what ``shown`` makes of the state that
    the command's stream then has."""
    reply = await decide(
        writer, command, who, key, lambda outcome: (status, shown(outcome.states[command.subject]))
    )
    return as_response(reply)
