"""``oms topic list`` and ``oms topic tail``: what runs over Kafka, record by record."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from rich.table import Table

from ops.cli.client import find
from ops.cli.codes import CliError, Exit
from ops.cli.output import Output
from shared.events import topics

_READ_MS = 200


async def list_topics(out: Output) -> Exit:
    """Every topic of the catalogue: who writes it, and which types it carries."""
    known = topics()
    out.answer(
        {
            "items": [
                {"topic": t.name, "producer": t.producer, "types": [x.tag() for x in t.types]}
                for t in known
            ]
        }
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("topic", "written by", "types"):
        table.add_column(name, overflow="fold")
    for t in known:
        table.add_row(t.name, t.producer, " ".join(x.tag() for x in t.types))
    out.draw(table)
    return Exit.OK


async def tail(data: Path, topic: str, last: int, out: Output, *, follow: bool, key: str) -> Exit:
    """The last records of each partition of a topic in the order in which they were written, then every further one
    (``follow``). With ``key`` only the records of that key, of all that the topic holds.

    Joins no consumer group and commits nothing, so it disturbs nobody. NOTHING when there was no record to show.
    """
    shown = 0
    async with _reading(find(data).kafka, topic) as client:
        for record in await _last(client, last, key):
            _show(record, out)
            shown += 1
        if not shown and not follow:
            out.warn(f"{topic} has no record" + (f" of the key {key}." if key else " to show."))
        while follow:
            for record in await _next(client):
                if _wanted(record, key):
                    _show(record, out)
    return Exit.OK if shown else Exit.NOTHING


@asynccontextmanager
async def _reading(bootstrap: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        await client.start()
        there = await client.topics()
        if topic not in there:
            raise CliError(
                Exit.USAGE,
                f"there is no topic {topic!r} at {bootstrap}; there are "
                f"{', '.join(sorted(t for t in there if not t.startswith('__')))}",
            )
        client.subscribe([topic])  # without a group: every partition of it
        while not client.assignment():
            await client.getmany(timeout_ms=_READ_MS)
        yield client
    except BrokenPipeError:
        raise  # whoever reads us has read enough
    except (KafkaError, OSError) as error:
        raise CliError(
            Exit.UNAVAILABLE, f"Kafka at {bootstrap} does not answer ({error!r}): see `oms status`"
        ) from error
    finally:
        await client.stop()


async def _last(client: AIOKafkaConsumer, count: int, key: str) -> list[ConsumerRecord]:
    """What is there now: the last ``count`` of each partition, or all that have the key. Leaves the client at the end."""
    partitions = client.assignment()
    ends = await client.end_offsets(partitions)
    starts = await client.beginning_offsets(partitions)
    for partition, end in ends.items():
        client.seek(partition, max(starts[partition], starts[partition] if key else end - count))
    found: list[ConsumerRecord] = []
    while any([await client.position(p) < end for p, end in ends.items()]):
        found += [r for r in await _next(client) if _wanted(r, key)]
    return sorted(found, key=lambda r: (r.timestamp, r.partition, r.offset))


async def _next(client: AIOKafkaConsumer) -> list[ConsumerRecord]:
    fetched = await client.getmany(timeout_ms=_READ_MS)
    return [record for records in fetched.values() for record in records]


def _wanted(record: ConsumerRecord, key: str) -> bool:
    return not key or record.key == key.encode()


def _show(record: ConsumerRecord, out: Output) -> None:
    """For people: where, what, then headers and payload; for programs one JSON document a line."""
    about = describe(record)
    if out.json:
        sys.stdout.write(msgspec.json.encode(about).decode() + "\n")
        sys.stdout.flush()
        return
    place = f"{about['topic']}/{about['partition']}@{about['offset']}"
    out.say(f"{place}  {about['time']}", style="bold")
    out.say(f"  key: {about['key']}")
    for name, value in about["headers"].items():
        out.say(f"  {name}: {value}", style="dim")
    data = about["data"]
    text = data if isinstance(data, str) else msgspec.json.encode(data).decode()
    out.last(f"  {text}")


def describe(record: ConsumerRecord) -> dict[str, Any]:
    """A record as JSON: ``data`` is its payload, as text where that is no JSON; None for a tombstone."""
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "time": datetime.fromtimestamp(record.timestamp / 1000, UTC).isoformat(
            timespec="milliseconds"
        ),
        "key": None if record.key is None else record.key.decode("utf-8", "replace"),
        "headers": {name: value.decode("utf-8", "replace") for name, value in record.headers},
        "data": None if record.value is None else _data(record.value),
    }


def _data(value: bytes) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return value.decode("utf-8", "replace")
