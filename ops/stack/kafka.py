"""Embedded Apache Kafka: one KRaft process that is broker and controller, sized for a laptop."""

from __future__ import annotations

import asyncio
import base64
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.stack.errors import StackError, log_tail
from ops.stack.jvm import find_java, kafka_classpath
from ops.stack.ports import HOST, require_free
from ops.stack.process import Child, Identity, end, read_pid, spawn, write_atomically, write_pid

_JVM = (
    "-server",
    "-Xms128m",
    "-Xmx448m",
    # One small heap on few cores: the serial collector has the least overhead and short pauses.
    "-XX:+UseSerialGC",
    # A local broker lives for minutes: the optimising compiler would cost more than it gains (measured: ready after 2.5 s
    # of processor time instead of 4, and 180,000 records for 1.6 s instead of 2.5).
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server=info",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaConfig=warn",
)

SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    # A consumer of a misspelt topic must fail, not quietly create it.
    "auto.create.topics.enable": "false",
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "2",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "3",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    # After kill -9 the broker may come back only when its old session is over: 9 s by default.
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "1000",
    # Its default of 128 MB would be a quarter of the heap.
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.segment.bytes": "134217728",
    # Segment files are preallocated sparsely by index size; many small topics need little.
    "log.index.size.max.bytes": "1048576",
    # Replay starts from the topics as well as from the ledgers: nothing expires by time here.
    "log.retention.ms": "-1",
}


class EmbeddedKafka:
    """One broker over `data`/kafka; `bootstrap` is its client address."""

    def __init__(
        self,
        data: Path,
        port: int,
        controller_port: int,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._home = data / "kafka"
        self._log = data / "logs" / "kafka.log"
        self._port = port
        self._controller_port = controller_port
        self._settings = dict(settings or {})
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port` for Kafka clients."""
        return f"{HOST}:{self._port}"

    @property
    def log(self) -> Path:
        """Where the broker writes."""
        return self._log

    @property
    def identity(self) -> Identity | None:
        """The broker's process, once started."""
        return self._child.identity if self._child else None

    def launch(self) -> None:
        """Format the log directory if it is new and start the broker; `wait_ready` follows."""
        orphan = read_pid(self._home / "broker.pid")
        if orphan is not None:
            end(orphan, timeout_s=10.0)
        require_free(self._port, what="Kafka", setting="--kafka-port or OMS_KAFKA_PORT")
        require_free(
            self._controller_port,
            what="Kafka's controller",
            setting="--kafka-controller-port or OMS_KAFKA_CONTROLLER_PORT",
        )
        java = str(find_java())
        classpath = ":".join(str(jar) for jar in kafka_classpath())
        properties = self._write_properties()
        self._format(java, classpath, properties)
        self._child = spawn(
            "Apache Kafka",
            [java, *_JVM, "-cp", classpath, "kafka.Kafka", str(properties)],
            log=self._log,
            cwd=self._home,
            death_signal=signal.SIGTERM,
        )
        write_pid(self._home / "broker.pid", self._child.identity)

    def wait_ready(self, timeout_s: float) -> None:
        """Return when the broker serves metadata; StackError when it ends or takes too long."""
        assert self._child is not None, "launch() comes first"
        if not wait_for_metadata(self.bootstrap, timeout_s, self._child.require_running):
            raise StackError(
                f"Apache Kafka did not come up on {self.bootstrap} within {timeout_s:.0f} s; the "
                f"log {self._log} ends with:\n{log_tail(self._log)}"
            )

    def stop(self, timeout_s: float = 10.0) -> None:
        """Orderly shutdown (the log is flushed and marked clean), killed when it takes too long."""
        if self._child is not None:
            self._child.stop(signal.SIGTERM, timeout_s)
            self._child = None
            (self._home / "broker.pid").unlink(missing_ok=True)

    def _write_properties(self) -> Path:
        controller = f"{HOST}:{self._controller_port}"
        settings = {
            **SETTINGS,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._home / "log"),
            **self._settings,
        }
        path = self._home / "server.properties"
        lines = [f"{name}={value}\n" for name, value in settings.items()]
        write_atomically(path, "".join(lines), mode=0o644)
        return path

    def _format(self, java: str, classpath: str, properties: Path) -> None:
        if (self._home / "log" / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        log = self._log.with_name("kafka-format.log")
        argv = [
            java,
            "-Xmx128m",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            classpath,
            "kafka.tools.StorageTool",
        ]
        argv += ["format", "--cluster-id", cluster, "--config", str(properties)]
        # A cluster id may begin with `-`, which the tool would read as an option.
        argv[argv.index("--cluster-id") : argv.index("--cluster-id") + 2] = [
            f"--cluster-id={cluster}"
        ]
        child = spawn("Kafka's storage tool", argv, log=log, death_signal=signal.SIGKILL)
        try:
            status = child.popen.wait(60)
        except subprocess.TimeoutExpired as error:
            child.stop(signal.SIGKILL)
            raise StackError(
                f"formatting Kafka's log took more than 60 s; see {log}:\n{log_tail(log)}"
            ) from error
        if status != 0:
            raise StackError(
                f"formatting Kafka's log ended with status {status}; see {log}:\n{log_tail(log)}"
            )


def wait_for_metadata(
    bootstrap: str, timeout_s: float, check: Callable[[], None] = lambda: None
) -> bool:
    """Wait until a broker serves metadata; `check` runs between attempts and may raise.

    Runs its own event loop in a thread, because the caller may be inside one.
    """
    deadline = time.monotonic() + timeout_s
    with ThreadPoolExecutor(max_workers=1) as thread:
        while not thread.submit(lambda: asyncio.run(_ping(bootstrap))).result():
            check()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
    return True


async def _ping(bootstrap: str) -> bool:
    """Whether a broker is registered in the metadata that `bootstrap` serves."""
    host, _, port = bootstrap.split(",", 1)[0].rpartition(":")
    try:  # a bare connection first: the client logs a complaint at every attempt that fails
        async with asyncio.timeout(3.0):
            _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        await writer.wait_closed()
    except (OSError, TimeoutError, ValueError):
        return False
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=3000)
    try:
        await client.start()
        cluster = await client.describe_cluster()
        return bool(cluster["brokers"])
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
