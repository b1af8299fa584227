"""The topics of the table, one for each version of the figures: the newest is the one in use.

A rebuild is a new, empty topic: every worker that sees it leaves the older version and reads the sources from their
beginning. The version before is kept until the next rebuild."""

import re
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from services.insights.broker import Broker
from services.insights.figures import TOPICS

TABLE = "cells"
_NAME = re.compile(r"oms-insights-v(\d+)-cells-changelog")
_OK, _EXISTS = 0, 36
#: A process that was stopped may write late. Until then compaction drops nothing that it could hide.
_CONFIG = {"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000", "segment.ms": "3600000"}


class NotReady(Exception):
    """The broker has not the topics that are needed; the message names them."""


def app_id(version: int) -> str:
    """faust's name of a version: its consumer group, and the beginning of its topics' names."""
    return f"oms-insights-v{version}"


def changelog(version: int) -> str:
    """The topic that holds a version's cells."""
    return f"{app_id(version)}-{TABLE}-changelog"


class Versions:
    """Finds and makes versions."""

    def __init__(self, kafka: Broker) -> None:
        self._kafka = kafka

    async def newest(self) -> int:
        """The newest version; 0 when there is none."""
        async with _Admin(self._kafka) as admin:
            return max(await _versions(admin), default=0)

    async def partitions(self) -> int:
        """How many partitions the sources have. Raises `NotReady` unless they all have as many."""
        async with _Admin(self._kafka) as admin:
            found = await admin.describe_topics(list(TOPICS))
            counts = {t["topic"]: len(t["partitions"]) for t in found if t["error_code"] == _OK}
            if len(counts) < len(TOPICS) or len(set(counts.values())) != 1:
                raise NotReady(
                    f"{', '.join(TOPICS)} must exist with equally many partitions, found {counts}: "
                    "make the topics first (oms up does)"
                )
            return int(next(iter(counts.values())))

    async def ensure(self) -> int:
        """The newest version, made when there is none."""
        return await self.newest() or await self.create(1)

    async def create(self, version: int) -> int:
        """Make a version, and delete those before the last. Making one that exists changes nothing."""
        partitions = await self.partitions()
        async with _Admin(self._kafka) as admin:
            topic = NewTopic(
                changelog(version), partitions, self._kafka.replicas, topic_configs=_CONFIG
            )
            answer = await admin.create_topics([topic])
            _check(answer.topic_errors)
            old = [changelog(v) for v in await _versions(admin) if v < version - 1]
            if old:
                await admin.delete_topics(old)
        return version


async def _versions(admin: AIOKafkaAdminClient) -> list[int]:
    names = await admin.list_topics()
    return [int(m[1]) for name in names if (m := _NAME.fullmatch(name))]


def _check(errors: list[tuple[Any, ...]]) -> None:
    """aiokafka answers with codes and does not raise."""
    for name, code, *message in errors:
        if code not in (_OK, _EXISTS):
            raise NotReady(f"{name} was not made: {for_code(code).__name__} {message}")


class _Admin:
    """A connected admin client, closed afterwards."""

    def __init__(self, kafka: Broker) -> None:
        self._client = AIOKafkaAdminClient(**kafka.options())

    async def __aenter__(self) -> AIOKafkaAdminClient:
        await self._client.start()
        return self._client

    async def __aexit__(self, *exception: object) -> None:
        await self._client.close()
