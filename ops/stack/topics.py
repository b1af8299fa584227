"""Make Kafka topics, and fail loudly where the client library would answer with a code."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from ops.stack.errors import StackError

_OK = 0
_TOPIC_ALREADY_EXISTS = 36


async def create_topics(
    bootstrap: str,
    topics: Mapping[str, int],
    *,
    config: Mapping[str, str] | None = None,
    replication_factor: int = 1,
    timeout_s: float = 30.0,
) -> list[str]:
    """Make the topics that are missing; return once every partition has a leader.

    `topics` maps name to number of partitions. Returns the names made now, sorted. A topic that
    exists with the same number of partitions is left alone; with another number it is an error,
    because the partition of a key depends on it. StackError names every topic that failed and why.
    """
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await client.start()
        requests = [
            NewTopic(name, partitions, replication_factor, topic_configs=dict(config or {}))
            for name, partitions in sorted(topics.items())
        ]
        response = await client.create_topics(requests, timeout_ms=int(timeout_s * 1000))
        created = _created(bootstrap, response.topic_errors)
        async with asyncio.timeout(timeout_s):
            await _until_led(client, topics)
    except TimeoutError as error:
        raise StackError(
            f"topics on {bootstrap} have no leader after {timeout_s:.0f} s: is the broker healthy? "
            f"See its log (kafka.log in the data directory's logs)"
        ) from error
    except (KafkaError, OSError) as error:
        raise StackError(
            f"cannot make topics on {bootstrap}: {type(error).__name__}: {error}"
        ) from error
    finally:
        await client.close()
    return created


def _created(bootstrap: str, topic_errors: list[tuple[Any, ...]]) -> list[str]:
    """Names made now; StackError listing those that failed."""
    failed = []
    created = []
    for name, code, *message in topic_errors:
        if code == _OK:
            created.append(str(name))
        elif code != _TOPIC_ALREADY_EXISTS:
            reason = message[0] if message and message[0] else for_code(code).__name__
            failed.append(f"{name}: {reason}")
    if failed:
        raise StackError(f"topics not made on {bootstrap}: {'; '.join(sorted(failed))}")
    return sorted(created)


async def _until_led(client: AIOKafkaAdminClient, topics: Mapping[str, int]) -> None:
    """Poll until all partitions have leaders; StackError on another partition count."""
    while True:
        described = await client.describe_topics(sorted(topics))
        for topic in described:
            wanted, found = topics[topic["topic"]], len(topic["partitions"])
            if topic["error_code"] == _OK and found != wanted:
                raise StackError(
                    f"topic {topic['topic']} exists with {found} partitions, {wanted} are wanted: "
                    f"keys would move to other partitions; keep {found}, or delete the topic and "
                    "republish"
                )
        if all(_is_led(topic) for topic in described):
            return
        await asyncio.sleep(0.05)


def _is_led(topic: Mapping[str, Any]) -> bool:
    return topic["error_code"] == _OK and all(
        partition["error_code"] == _OK and partition["leader"] >= 0
        for partition in topic["partitions"]
    )
