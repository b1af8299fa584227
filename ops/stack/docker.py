"""Kafka and Postgres in containers, through testcontainers, with data in named volumes.

The volumes are named after the data directory, so that it keeps its meaning: the same directory
finds the same cluster again. testcontainers' reaper removes the containers when this process dies.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ops.stack.errors import StackError
from ops.stack.ports import HOST, require_free
from ops.stack.process import Identity, write_atomically

if TYPE_CHECKING:
    from testcontainers.community.kafka import KafkaContainer
    from testcontainers.community.postgres import PostgresContainer

# testcontainers' start script is written for Confluent's images up to 7.x (Kafka 3.x).
KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.1"
POSTGRES_IMAGE = "postgres:18.0"


class DockerUnavailable(Exception):
    """No container engine answers, or it cannot get the images: the next tier is to be tried."""


class DockerKafka:
    """A broker in a container; its client port is published on 127.0.0.1."""

    def __init__(self, data: Path, port: int, settings: Mapping[str, str] | None = None) -> None:
        self._data = data
        self._port = port
        self._settings = dict(settings or {})
        self._container: KafkaContainer | None = None
        require_engine()

    @property
    def bootstrap(self) -> str:
        """`host:port` for Kafka clients."""
        return f"{HOST}:{self._port}"

    @property
    def log(self) -> Path | None:
        """None: `docker logs` has it."""
        return None

    @property
    def identity(self) -> Identity | None:
        """None: the process is the engine's."""
        return None

    def launch(self) -> None:
        """Start the container; returns when the broker has logged that it serves."""
        from testcontainers.community.kafka import KafkaContainer

        require_free(self._port, what="Kafka", setting="--kafka-port or OMS_KAFKA_PORT")
        container = KafkaContainer(KAFKA_IMAGE).with_kraft()
        _publish(container, container.port, self._port)
        container.with_volume_mapping(_volume(self._data, "kafka"), "/var/lib/kafka/data", "rw")
        container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        container.with_env("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "8")
        container.with_env("KAFKA_LOG_RETENTION_MS", "-1")
        container.with_env("KAFKA_HEAP_OPTS", "-Xms128m -Xmx448m")
        for name, value in self._settings.items():
            container.with_env(f"KAFKA_{name.upper().replace('.', '_')}", value)
        self._container = container
        _start(container, "Kafka", KAFKA_IMAGE)

    def wait_ready(self, timeout_s: float) -> None:
        """Return when the broker serves metadata."""
        from ops.stack.kafka import wait_for_metadata

        if not wait_for_metadata(self.bootstrap, timeout_s):
            raise StackError(
                f"Kafka ({KAFKA_IMAGE}) did not come up on {self.bootstrap} within {timeout_s:.0f} "
                f"s: see `docker logs`, or use OMS_STACK=embedded"
            )

    def stop(self, timeout_s: float = 10.0) -> None:
        """Remove the container; its volume stays."""
        if self._container is not None:
            _stop(self._container, timeout_s)
            self._container = None


class DockerPostgres:
    """A PostgreSQL server in a container; its port is published on 127.0.0.1."""

    def __init__(self, data: Path, port: int, settings: Mapping[str, str] | None = None) -> None:
        self._data = data
        self._port = port
        self._settings = dict(settings or {})
        self._container: PostgresContainer | None = None
        require_engine()

    @property
    def dsn(self) -> str:
        """libpq URL of the superuser, without a database name."""
        return f"postgresql://postgres:{self._password()}@{HOST}:{self._port}"

    @property
    def log(self) -> Path | None:
        """None: `docker logs` has it."""
        return None

    @property
    def identity(self) -> Identity | None:
        """None: the process is the engine's."""
        return None

    def launch(self) -> None:
        """Start the container; returns when the server answers."""
        from testcontainers.community.postgres import PostgresContainer

        from ops.stack.postgres import SETTINGS

        require_free(self._port, what="PostgreSQL", setting="--postgres-port or OMS_POSTGRES_PORT")
        # The container must listen on its own interface, not on its loopback.
        kept = {
            name: value
            for name, value in SETTINGS.items()
            if name not in {"listen_addresses", "unix_socket_directories"}
        }
        settings = {**kept, **self._settings}
        container = PostgresContainer(
            POSTGRES_IMAGE,
            username="postgres",
            password=self._password(),
            dbname="postgres",
            driver=None,
        )
        _publish(container, container.port, self._port)
        container.with_volume_mapping(_volume(self._data, "postgres"), "/var/lib/postgresql", "rw")
        container.with_command(
            ["postgres", *(f"-c{name}={value}" for name, value in settings.items())]
        )
        self._container = container
        _start(container, "PostgreSQL", POSTGRES_IMAGE)

    def wait_ready(self, timeout_s: float) -> None:
        """Return when a client gets in."""
        from ops.stack.given import GivenPostgres

        GivenPostgres(self.dsn).wait_ready(timeout_s)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Remove the container; its volume stays."""
        if self._container is not None:
            _stop(self._container, timeout_s)
            self._container = None

    def _password(self) -> str:
        path = self._data / "secrets" / "postgres-docker"
        if not path.exists():
            write_atomically(path, secrets.token_urlsafe(24))
        return path.read_text()


def require_engine() -> None:
    """Raise DockerUnavailable when no container engine answers (takes about a second)."""
    _require_socket()
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=5)
    except DockerException as error:
        raise DockerUnavailable(f"no container engine answers ({error})") from error
    try:
        client.ping()
    except (DockerException, OSError) as error:
        raise DockerUnavailable(f"the container engine does not answer ({error})") from error
    finally:
        client.close()


def _require_socket() -> None:
    """Try the engine's socket first: the client would leak one where nobody listens."""
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not address.startswith("unix://"):
        return
    path = address.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            raise DockerUnavailable(f"no container engine at {path} ({error.strerror})") from error


def _start(container: KafkaContainer | PostgresContainer, what: str, image: str) -> None:
    from docker.errors import APIError, DockerException

    try:
        container.start()
    except APIError as error:
        raise DockerUnavailable(f"{what} ({image}) cannot be started: {error}") from error
    except (DockerException, TimeoutError, OSError) as error:
        raise StackError(
            f"{what} ({image}) did not start: {error}; see `docker logs`, or use OMS_STACK=embedded"
        ) from error


def _stop(container: KafkaContainer | PostgresContainer, timeout_s: float) -> None:
    """Orderly first: testcontainers alone would remove the container with SIGKILL."""
    from testcontainers.core.exceptions import ContainerStartException

    try:
        made = container.get_wrapped_container()
    except ContainerStartException:
        return  # it never came to a container: the engine refused the image
    made.stop(timeout=int(timeout_s))
    container.stop(delete_volume=False)


def _publish(container: KafkaContainer | PostgresContainer, inside: int, port: int) -> None:
    """Publish on the loopback only, where `with_bind_ports` publishes on every interface."""
    container.ports[str(inside)] = (HOST, port)  # type: ignore[assignment]


def _volume(data: Path, server: str) -> str:
    digest = hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]
    return f"oms-{server}-{digest}"
