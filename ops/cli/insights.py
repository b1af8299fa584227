"""``oms insights verify`` and ``oms insights rebuild``."""

import asyncio
from pathlib import Path

import httpx
from aiokafka.errors import KafkaError
from rich.table import Table

from ops.cli.client import find, get, post
from ops.cli.codes import CliError, Exit
from ops.cli.output import Output
from ops.insights.recount import Recount, recount
from ops.insights.verify import compare

DIFFERENCES_SHOWN_MAX = 20
LOOK_SECONDS = 0.5


async def verify(data: Path, out: Output) -> Exit:
    """Count the topics again, by other means, and compare all figures that the service gives."""
    running = find(data)
    async with running.http("insights", "ops") as http:
        with out.working("Counting the topics again …"):
            counted = await _counted(running.kafka)
            records = sum(counted.records.values())
        with out.working("Waiting until the insights have read as much …"):
            await _read(http, records)
        compared, differences = await compare(http, counted)
    out.answer(
        {
            "records": records,
            "compared": compared,
            "different": [d._asdict() for d in differences],
        }
    )
    if differences:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for name in ("figure", "topics", "insights"):
            table.add_column(name, overflow="fold")
        for d in differences[:DIFFERENCES_SHOWN_MAX]:
            table.add_row(*d)
        out.draw(table)
        out.say(
            f"\n{len(differences)} of {compared} figures differ. If orders are coming in, ask again; "
            "else rebuild: oms insights rebuild"
        )
        return Exit.PROBLEM
    out.say(f"{compared} figures of {records} records equal the recount.")
    return Exit.OK


async def _counted(kafka: str) -> Recount:
    try:
        return await recount(kafka)
    except (KafkaError, OSError) as error:
        raise CliError(
            Exit.UNAVAILABLE, f"Kafka at {kafka} does not answer ({error!r}): see `oms status`"
        ) from error


async def rebuild(data: Path, out: Output) -> Exit:
    """Have the next version built from the topics, and wait until it has read them."""
    running = find(data)
    async with running.http("insights", "ops") as http:
        records = await _records(http)
        version = (await post(http, "/rebuild"))["version"]
        with out.working(f"Building version {version} …"):
            while (await get(http, "/progress"))["version"] != version:
                await asyncio.sleep(LOOK_SECONDS)
            await _read(http, records)
    out.say(f"Version {version} has read {records} records; `oms insights verify` compares.")
    out.answer({"version": version, "records": records})
    return Exit.OK


async def _records(http: httpx.AsyncClient) -> int:
    return sum(p["records"] for p in (await get(http, "/progress"))["partitions"])


async def _read(http: httpx.AsyncClient, records: int) -> None:
    while await _records(http) < records:
        await asyncio.sleep(LOOK_SECONDS)
