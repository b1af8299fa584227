"""The local stack: a real Kafka and a real Postgres from the first tier that serves."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, TextIO

from ops.stack.docker import DockerKafka, DockerPostgres, DockerUnavailable
from ops.stack.errors import StackError
from ops.stack.given import GivenKafka, GivenPostgres
from ops.stack.kafka import EmbeddedKafka
from ops.stack.ports import free_ports
from ops.stack.postgres import EmbeddedPostgres
from ops.stack.process import Identity, write_atomically
from ops.stack.state import lock_file

GIVEN, DOCKER, EMBEDDED = "given", "docker", "embedded"
TIERS = (GIVEN, DOCKER, EMBEDDED)
DEFAULT_DATA = Path(".oms")


class Server(Protocol):
    """What the stack asks of a broker or a database, whichever tier it comes from."""

    @property
    def log(self) -> Path | None:
        """The log file, where there is one."""

    @property
    def identity(self) -> Identity | None:
        """The operating system process, where it is ours."""

    def launch(self) -> None:
        """Start it (also again after `stop` or a crash)."""

    def wait_ready(self, timeout_s: float) -> None:
        """Return when it serves; StackError when it does not within the time."""

    def stop(self, timeout_s: float = 10.0) -> None:
        """Stop it in order; no harm when it is not running."""


class KafkaServer(Server, Protocol):
    """A broker."""

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""


class PostgresServer(Server, Protocol):
    """A database server."""

    @property
    def dsn(self) -> str:
        """libpq address of a role that may create roles and databases."""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on 127.0.0.1."""

    kafka: int = 8192
    kafka_controller: int = 8193
    postgres: int = 8132

    @classmethod
    def free(cls) -> Ports:
        """Ports that nobody uses now: for tests and benchmarks beside a running demo."""
        return cls(*free_ports(3))

    @classmethod
    def from_environment(cls) -> Ports:
        """OMS_KAFKA_PORT, OMS_KAFKA_CONTROLLER_PORT and OMS_POSTGRES_PORT, else the defaults; StackError for no port."""
        default = cls()
        return cls(
            _port("OMS_KAFKA_PORT", default.kafka),
            _port("OMS_KAFKA_CONTROLLER_PORT", default.kafka_controller),
            _port("OMS_POSTGRES_PORT", default.postgres),
        )


def _port(variable: str, default: int) -> int:
    said = os.environ.get(variable, str(default))
    if not (said.isascii() and said.isdigit() and 0 < int(said) < 2**16):
        raise StackError(f"{variable}={said!r} is no port: give a number from 1 to 65535")
    return int(said)


@dataclass(slots=True)
class Stack:
    """A running Kafka and Postgres. A context manager; leaving it stops what we started."""

    tier: str
    data: Path
    kafka_server: KafkaServer
    postgres_server: PostgresServer
    _lock: TextIO = field(repr=False)

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.kafka_server.bootstrap

    @property
    def postgres(self) -> str:
        """libpq URL of the superuser, without a database; it holds the password."""
        return self.postgres_server.dsn

    def stop(self) -> None:
        """Stop both servers and free the data directory; may be called twice."""
        try:
            self.kafka_server.stop()
        finally:
            self.postgres_server.stop()
            self._lock.close()
            atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    data: Path = DEFAULT_DATA,
    *,
    ports: Ports | None = None,
    tier: str | None = None,
    kafka_settings: Mapping[str, str] | None = None,
    postgres_settings: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Stack:
    """Start (or find) Kafka and Postgres and return when both serve.

    `tier`: one of TIERS to allow only that one; default: OMS_STACK, else the tier that made `data`,
    else the first of all that serves. `ports`: default from the environment
    (`Ports.from_environment`). Raises StackError, having stopped whatever it had started. Blocks
    for seconds: in a coroutine call it with `asyncio.to_thread`.
    """
    data = data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    ports = ports or Ports.from_environment()
    lock = lock_file(data, "stack")
    try:
        wanted = tier or os.environ.get("OMS_STACK") or _chosen(data)
        refusals: list[str] = []
        for candidate in _candidates(wanted):
            if lock.closed:  # by a tier that gave up while it started
                lock = lock_file(data, "stack")
            try:
                kafka, postgres = _servers(
                    candidate, data, ports, kafka_settings, postgres_settings
                )
                return _bring_up(Stack(candidate, data, kafka, postgres, lock), timeout_s)
            except DockerUnavailable as error:
                refusals.append(f"{candidate}: {error}")
        raise StackError(f"no tier of the local stack serves: {'; '.join(refusals)}")
    except BaseException:
        lock.close()
        raise


def _bring_up(stack: Stack, timeout_s: float) -> Stack:
    """Start both servers side by side; on any failure, Ctrl-C included, leave nothing running."""
    atexit.register(stack.stop)
    try:
        stack.postgres_server.launch()
        stack.kafka_server.launch()
        stack.postgres_server.wait_ready(timeout_s)
        stack.kafka_server.wait_ready(timeout_s)
    except BaseException:
        stack.stop()
        raise
    if stack.tier != GIVEN:
        write_atomically(stack.data / "stack.json", json.dumps({"tier": stack.tier}) + "\n", 0o644)
    return stack


def _candidates(wanted: str | None) -> tuple[str, ...]:
    if wanted is not None:
        if wanted not in TIERS:
            raise StackError(
                f"tier {wanted!r} of the local stack must be one of {', '.join(TIERS)}"
            )
        return (wanted,)
    kafka, postgres = os.environ.get("OMS_KAFKA"), os.environ.get("OMS_POSTGRES")
    if bool(kafka) != bool(postgres):
        missing = "OMS_POSTGRES" if kafka else "OMS_KAFKA"
        raise StackError(f"{missing} is not set: give both OMS_KAFKA and OMS_POSTGRES, or neither")
    return (GIVEN,) if kafka else (DOCKER, EMBEDDED)


def _chosen(data: Path) -> str | None:
    """The tier that made this data directory: another would quietly start with an empty one."""
    if os.environ.get("OMS_KAFKA") or os.environ.get("OMS_POSTGRES"):
        return None
    try:
        tier = json.loads((data / "stack.json").read_text())["tier"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return str(tier)


def _servers(
    tier: str,
    data: Path,
    ports: Ports,
    kafka_settings: Mapping[str, str] | None,
    postgres_settings: Mapping[str, str] | None,
) -> tuple[KafkaServer, PostgresServer]:
    if tier == GIVEN:
        return GivenKafka.from_environment(), GivenPostgres.from_environment()
    if tier == DOCKER:
        return (
            DockerKafka(data, ports.kafka, kafka_settings),
            DockerPostgres(data, ports.postgres, postgres_settings),
        )
    return (
        EmbeddedKafka(data, ports.kafka, ports.kafka_controller, kafka_settings),
        EmbeddedPostgres(data, ports.postgres, postgres_settings),
    )
