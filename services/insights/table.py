"""The table of cells as faust keeps it: in memory, restored from a changelog to which a stopped process may write late.

A process that was stopped for longer than its session wakes with cells in its hands and sends them, behind those of
whoever has its partition by now. Such a cell is right, but of an earlier position: it is told by that, passed over,
and remembered as ``overtaken`` until it is covered again, so that compaction never keeps it in place of the newer one.
"""

from collections.abc import Iterable
from typing import Any

import faust
from faust.serializers import codecs

from services.insights.broker import Broker
from services.insights.domain.cells import precedes
from services.insights.state import Value
from services.insights.topics import TABLE, app_id, changelog
from services.insights.values import decode_value, encode_value

SESSION_SECONDS = 10


class _ValueCodec(codecs.Codec):
    def _dumps(self, obj: Any) -> bytes | None:  # type: ignore[override]
        return (
            None if obj is None else encode_value(obj)
        )  # a tombstone, by which compaction drops the cell

    def _loads(self, s: bytes) -> Value:
        return decode_value(s)


class _KeyCodec(codecs.Codec):
    def _dumps(self, obj: Any) -> bytes:
        return str(obj).encode()

    def _loads(self, s: bytes) -> str:
        return s.decode()


codecs.register("insights-value", _ValueCodec())
codecs.register("insights-key", _KeyCodec())


class Table(faust.Table):  # type: ignore[type-arg]
    """See the module. ``overtaken`` are the keys whose last record in the changelog is not the newest."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.overtaken: set[str] = set()

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Restore cells, the newest of each."""
        newest: dict[str, Any] = {}
        for event in batch:
            key, value = event.key, event.value
            held = newest[key].value if key in newest else self.data.get(key)
            if precedes(value, held):
                self.overtaken.add(key)
            else:
                self.overtaken.discard(key)
                newest[key] = event
        super().apply_changelog_batch(newest.values())


class App(faust.App):
    """faust, told to keep to what it is asked."""

    def _create_directories(self) -> None:
        """None: the table is in memory, and where the process stands may be read-only."""


def application(kafka: Broker, version: int, partitions: int) -> tuple[App, Table]:
    """A faust application of a version of the figures, and its table of cells."""
    app = App(
        app_id(version),
        **kafka.faust_options(),
        Table=Table,
        store="memory://",
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=partitions,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=3,
        broker_max_poll_records=2000,
        broker_commit_interval=5,
        producer_acks=-1,
        producer_linger=0.005,
        producer_max_batch_size=262_144,
        stream_buffer_maxsize=4096,
        stream_wait_empty=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    # Named here: the topic that a table makes for itself keeps JSON, whatever the table is told afterwards.
    kept = app.topic(
        changelog(version),
        key_serializer="insights-key",
        value_serializer="insights-value",
        partitions=partitions,
        acks=False,
        internal=True,
        allow_empty=True,
        maxsize=131_072,
    )
    table: Any = app.Table(TABLE, partitions=partitions, default=None, changelog_topic=kept)
    table.key_serializer, table.value_serializer = "insights-key", "insights-value"
    return app, table
