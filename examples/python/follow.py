"""Follows the orders of the OMS on Kafka: each event once, in order, and no loss in silence.

    python follow.py BOOTSTRAP CURSOR [TOPIC]

Prints one line of JSON for each event. CURSOR is a file of this program's own: how far it has read. Ctrl-C or SIGTERM
ends it after the event at hand; the next run goes on from there. Needs aiokafka.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition


class Gap(Exception):
    """Records are missing between the last one handled and this one."""


class Cursor:
    """For each partition the next offset, and the last feed position that was handled: the watermark."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.at: dict[str, dict[str, int]] = json.loads(path.read_text()) if path.exists() else {}

    def of(self, partition: int) -> dict[str, int]:
        return self.at.setdefault(str(partition), {"offset": 0, "sequence": 0})

    def save(self) -> None:
        """All or nothing: a crash leaves the old file or the new one."""
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.at))
        os.replace(new, self._path)  # noqa: PTH105 - says what it does


def handle(event: dict[str, Any]) -> None:
    """Your work goes here. Write its result and the cursor in one transaction, and it happens exactly once; like this,
    what was printed after the last save is printed again after a crash."""
    print(json.dumps(event), flush=True)


def take(record: ConsumerRecord, cursor: Cursor) -> None:
    """Handle one record, unless the watermark says that this happened before."""
    headers = {name: value.decode() for name, value in record.headers}
    mark = cursor.of(record.partition)
    sequence, previous = int(headers["ce_sequence"]), int(headers["ce_previous"])
    if sequence <= mark["sequence"]:
        print(f"duplicate: partition {record.partition}, position {sequence}", file=sys.stderr)
    elif previous != mark["sequence"]:
        raise Gap(
            f"gap: partition {record.partition}: position {sequence} follows {previous}, but {mark['sequence']} was the "
            f"last one here. Fetch what is between from the producer's GET /feed?topic=…&partition=…&after=…"
        )
    else:
        handle(
            {
                "partition": record.partition,
                "sequence": sequence,
                "id": headers["ce_id"],
                "type": headers["ce_type"],
                "subject": headers["ce_subject"],
                "data": json.loads(record.value),
            }
        )
        mark["sequence"] = sequence
    mark["offset"] = record.offset + 1


async def follow(bootstrap: str, cursor: Cursor, topic: str) -> None:
    """Read until told to stop. Without a consumer group: the cursor is ours, and nobody else shares the partitions."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        for partition in consumer.assignment():
            consumer.seek(partition, cursor.of(partition.partition)["offset"])
        while not stop.is_set():
            batches: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                timeout_ms=200
            )
            for records in batches.values():
                for record in records:
                    if stop.is_set():
                        break
                    take(record, cursor)
            cursor.save()
    finally:
        cursor.save()
        await consumer.stop()


def main() -> int:
    bootstrap, path, *topic = sys.argv[1:]
    try:
        asyncio.run(follow(bootstrap, Cursor(Path(path)), *(topic or ["oms.order.events"])))
    except Gap as gap:
        print(gap, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
