"""``oms parked list`` and ``oms parked redrive``: what could not be handled, and handling it again."""

import asyncio
from pathlib import Path
from typing import Any

from rich.table import Table

from ops.cli.client import Running, find, get, problem
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


async def list_parked(data: Path, out: Output) -> Exit:
    """Every parked key and every parked call to the outside. NOTHING when there is none."""
    running = find(data)
    found = await parked(running)
    out.answer({"items": found})
    if not found:
        out.say("Nothing is parked.")
        return Exit.NOTHING
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in (
        ("service", "left"),
        ("topic", "left"),
        ("key", "left"),
        ("waiting", "right"),
        ("since", "left"),
        ("error", "left"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for x in found:
        table.add_row(
            x["service"], x["topic"], x["key"], str(x["records"]), str(x["since"])[:19], x["error"]
        )
    out.draw(table)
    out.say(
        "\nOnce the cause is gone: oms parked redrive SERVICE, or with --topic and --key for one."
    )
    return Exit.PROBLEM


async def parked(running: Running) -> list[dict[str, Any]]:
    """Parked keys of all services, each with its service; calls to the outside stand under the topic ``effect``."""
    found = await asyncio.gather(*(_of(running, service) for service in SERVICES))
    return [x for of_service in found for x in of_service]


async def _of(running: Running, service: str) -> list[dict[str, Any]]:
    async with running.http(service, "ops") as http:
        keys = [{"service": service, **x} for x in (await get(http, "/parked", limit=500))["items"]]
        if service == "views":
            return keys
        effects = (await get(http, "/effects", limit=500))["items"]
    calls = [
        {
            "service": service,
            "topic": "effect",
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
    """Apply parked records again, in order, once: of one key, or of every key of a service."""
    running = find(data)
    if service not in SERVICES:
        raise CliError(
            Exit.USAGE, f"there is no service {service!r}; there are {', '.join(SERVICES)}"
        )
    if bool(topic) != bool(key):
        raise CliError(Exit.USAGE, "give both --topic and --key, or neither for all of the service")
    wanted = [x for x in await _of(running, service) if x["topic"] != "effect"]
    wanted = [x for x in wanted if not topic or (x["topic"], x["key"]) == (topic, key)]
    if not wanted:
        out.say("Nothing of that is parked.")
        out.answer({"items": []})
        return Exit.NOTHING
    done = []
    async with running.http(service, "ops") as http:
        for x in wanted:
            response = await http.post(
                "/parked/redrive", json={"topic": x["topic"], "key": x["key"]}
            )
            if response.is_error:
                raise CliError(Exit.PROBLEM, f"{service}: {problem(response)}")
            done.append({"topic": x["topic"], "key": x["key"], **response.json()})
            error = done[-1]["error"]
            out.say(
                f"{x['topic']} {x['key']}: {done[-1]['applied']} applied"
                + (f", then: {error}" if error else "")
            )
    out.answer({"items": done})
    return Exit.PROBLEM if any(x["error"] for x in done) else Exit.OK
