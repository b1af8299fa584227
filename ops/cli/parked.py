"""``oms parked``: messages and calls to the outside that could not be handled; handling them again, or giving one up."""

import asyncio
from pathlib import Path
from typing import Any

from ops.cli.client import Running, find, get, post
from ops.cli.codes import CliError, Exit
from ops.cli.output import Output

SERVICES = (
    "order",
    "inventory",
    "fulfillment",
    "returns",
    "notifications",
    "integrations",
    "views",
)
#: As what a call to the outside is listed, in the place of a topic.
CALL = "effect"
#: So many keys, and calls, of each service are seen at once.
SEEN_MAX = 1000


async def list_parked(data: Path, out: Output) -> Exit:
    """Every parked key and every parked call to the outside. NOTHING when there is none; UNAVAILABLE when a service
    could not be asked: what the others have is shown."""
    running = find(data)
    answers = await asyncio.gather(*(_of(running, s) for s in SERVICES), return_exceptions=True)
    found = [x for of_service in answers if isinstance(of_service, list) for x in of_service]
    silent = [error for error in answers if isinstance(error, BaseException)]
    for error in silent:
        if not isinstance(error, CliError):
            raise error
        out.warn(f"oms: {error}")
    out.answer({"items": found, "silent": [str(error) for error in silent]})
    if silent and not found:
        return Exit.UNAVAILABLE
    if not found:
        out.say("Nothing is parked.")
        return Exit.NOTHING
    for x in found:
        out.say(f"{x['service']}  {x['topic']}  {x['key']}", style="bold")
        out.say(f"    {x['records']} waiting since {str(x['since'])[:19]}: {x['error']}")
    out.say(
        "\nOnce the cause is gone: oms parked redrive SERVICE, or with --topic and --key for one."
        "\nWhat can never be handled: oms parked show SERVICE --topic … --key …, then discard."
    )
    return Exit.UNAVAILABLE if silent else Exit.PROBLEM


async def _of(running: Running, service: str) -> list[dict[str, Any]]:
    """Parked keys of a service, each with its name; calls to the outside stand under `CALL`."""
    async with running.http(service, "ops") as http:
        listed = (await get(http, "/parked", limit=SEEN_MAX))["items"]
        keys = [{"service": service, **x} for x in listed]
        if service == "views":
            return keys
        effects = (await get(http, "/effects", limit=SEEN_MAX))["items"]
    calls = [
        {
            "service": service,
            "topic": CALL,
            "key": x["id"],
            "records": 1,
            "since": x["next_at"],
            "error": x["error"],
        }
        for x in effects
        if x["parked"]
    ]
    return keys + calls


async def redrive(data: Path, service: str, topic: str, key: str, out: Output) -> Exit:
    """Apply parked records again, in order, once, and make parked calls again: of one key, or all of a service."""
    running = find(data)
    _known(service)
    if bool(topic) != bool(key):
        raise CliError(Exit.USAGE, "give both --topic and --key, or neither for all of the service")
    wanted = [
        x
        for x in await _of(running, service)
        if not topic or (x["topic"], x["key"]) == (topic, key)
    ]
    if not wanted:
        out.say("Nothing of that is parked.")
        out.answer({"items": []})
        return Exit.NOTHING
    done: list[dict[str, Any]] = []
    async with running.http(service, "ops") as http:
        for x in wanted:
            place = {"topic": x["topic"], "key": x["key"]}
            if x["topic"] == CALL:
                answer = await post(http, "/effects/retry", {"id": x["key"]})
            else:
                answer = await post(http, "/parked/redrive", place)
            done.append(place | answer)
            out.say(f"{x['topic']} {x['key']}: {_came_of(done[-1])}")
    out.answer({"items": done})
    return Exit.PROBLEM if any(x.get("error") for x in done) else Exit.OK


def _came_of(redriven: dict[str, Any]) -> str:
    if redriven["topic"] == CALL:
        return "is made again now; if it fails, it is tried again, and parked in the end"
    error = redriven["error"]
    return f"{redriven['applied']} applied" + (f", then: {error}" if error else "")


async def show(data: Path, service: str, topic: str, key: str, out: Output) -> Exit:
    """A key's parked messages, oldest first. NOTHING when there is none."""
    running = find(data)
    _known(service)
    if topic == CALL:
        raise CliError(
            Exit.USAGE,
            "a call to the outside has no messages: `oms parked list` has its error, and "
            f"`oms why` its order; once the cause is gone: oms parked redrive {service}",
        )
    async with running.http(service, "ops") as http:
        asked = {"topic": topic, "key": key, "limit": 100}
        found = (await get(http, "/parked/records", **asked))["items"]
    out.answer({"items": found})
    if not found:
        out.say("Nothing of that is parked.")
        return Exit.NOTHING
    for x in found:
        out.say(f"{x['id']}  partition {x['partition']}, offset {x['offset']}: {x['error']}")
        for name, value in x["headers"]:
            out.say(f"    {name}: {value}")
        out.say(f"    {x['value'][:1000]}\n")
    out.say(f"To give one up: oms parked discard {service} ID --reason '…'")
    return Exit.OK


async def discard(data: Path, service: str, id: int, reason: str, out: Output) -> Exit:
    """Give one parked message up, on record."""
    running = find(data)
    _known(service)
    async with running.http(service, "ops") as http:
        out.answer(await post(http, "/parked/discard", {"id": id, "reason": reason}))
    out.say(f"Message {id} is discarded. Those behind it: oms parked redrive {service}")
    return Exit.OK


def _known(service: str) -> None:
    if service not in SERVICES:
        raise CliError(
            Exit.USAGE, f"there is no service {service!r}; there are {', '.join(SERVICES)}"
        )
