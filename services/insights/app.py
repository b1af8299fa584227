"""faust, as it is used here: its settings, a table that late writes do not set back, nothing that a batch has no use for.

For each record faust makes four tasks, asks two codecs that change nothing, and keeps statistics that nobody looks at:
together more work than the adding. What is left out here is only speed; the rest of faust is as it was.
"""

from collections.abc import Iterable
from inspect import iscoroutine
from typing import Any

import faust
from faust.serializers import codecs
from faust.transport.drivers import aiokafka as driver
from mode.services import WaitResults

from services.insights.broker import Broker
from services.insights.domain.cells import is_older
from services.insights.state import Value
from services.insights.topics import TABLE, app_id, changelog
from services.insights.values import decode_value, encode_value

#: A process that stands still for so long has lost its partitions.
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


class RawSchema(faust.Schema):  # type: ignore[type-arg]
    """Key and value as they are."""

    def compile(self, app: Any, **_: Any) -> Any:
        """See faust."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(message.key, message.value, message.headers, message)

        return decode


class _Consumer(driver.Consumer):
    async def wait_first(self, *waits: Any, timeout: Any = None) -> WaitResults:
        """A record is handed on at once where there is room for it: only a full buffer makes it wait, and then a
        rebalance must be able to interrupt it."""
        if len(waits) == 2 and all(map(iscoroutine, waits)) and self._has_room():
            handing, suspended = waits
            suspended.close()
            return WaitResults([handing], [await handing], stopped=False)
        return await super().wait_first(*waits, timeout=timeout)

    def _has_room(self) -> bool:
        app = self.app
        return (
            app.flow_control.is_active()
            and not app.in_recovery
            and not any(topic.queue.full() for topic in app.topics)
        )


class Table(faust.Table):  # type: ignore[type-arg]
    """Recovers the newest value of a cell, which is not always the last one written.

    ``outrun`` are the keys whose newest value has an older one behind it on the topic, which compaction would keep."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outrun: set[str] = set()

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """See faust."""
        newest: dict[str, Any] = {}
        taken = []
        for event in batch:
            held = newest.get(event.key, self.data.get(event.key))
            if event.value is not None and is_older(event.value, held):
                self.outrun.add(event.key)
                continue
            self.outrun.discard(event.key)
            newest[event.key] = event.value
            taken.append(event)
        super().apply_changelog_batch(taken)


class App(faust.App):
    """A faust application for batches of raw records, with a table in memory."""

    def _create_directories(self) -> None:
        """None: the table is in memory, and where the process stands may be read-only."""

    def _new_consumer(self) -> Any:
        self.transport.Consumer = _Consumer  # type: ignore[misc]
        return super()._new_consumer()

    def on_init_dependencies(self) -> Any:
        """What is started with it; without its statistics."""
        needed = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        self.sensors.add(faust.Sensor())  # it complains at each rebalance when there is none
        return needed


def application(kafka: Broker, version: int, partitions: int) -> tuple[App, Table]:
    """The application of a version of the figures, and its table of cells."""
    app = App(
        app_id(version),
        **kafka.faust_options(),
        store="memory://",
        Table=Table,
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
        stream_buffer_maxsize=8192,
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
