"""Kafka and Postgres that somebody else runs, at addresses given by the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg

from ops.stack.errors import StackError
from ops.stack.kafka import wait_for_metadata
from ops.stack.process import Identity


@dataclass(frozen=True, slots=True)
class _Given:
    """Not ours: there is nothing to start or stop, no log and no process."""

    @property
    def log(self) -> Path | None:
        """None: the log is elsewhere."""
        return None

    @property
    def identity(self) -> Identity | None:
        """None: the process is not ours."""
        return None

    def launch(self) -> None:
        """Nothing: it runs already."""

    def stop(self, timeout_s: float = 10.0) -> None:
        """Nothing: it is not ours to stop."""


@dataclass(frozen=True, slots=True)
class GivenKafka(_Given):
    """The brokers of OMS_KAFKA."""

    bootstrap: str

    @classmethod
    def from_environment(cls) -> Self:
        """Take OMS_KAFKA (`host:port[,host:port]`)."""
        return cls(_variable("OMS_KAFKA"))

    def wait_ready(self, timeout_s: float) -> None:
        """Return when a broker serves metadata."""
        if not wait_for_metadata(self.bootstrap, min(timeout_s, 15.0)):
            raise StackError(f"no Kafka broker answers at OMS_KAFKA={self.bootstrap}")


@dataclass(frozen=True, slots=True)
class GivenPostgres(_Given):
    """The server of OMS_POSTGRES."""

    dsn: str

    @classmethod
    def from_environment(cls) -> Self:
        """Take OMS_POSTGRES, a libpq URL or DSN of a role that may create databases and roles."""
        return cls(_variable("OMS_POSTGRES"))

    def wait_ready(self, timeout_s: float) -> None:
        """Return when the server lets us in with the rights that we need."""
        question = (
            "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles"
            " WHERE rolname = current_user"
        )
        try:
            with psycopg.connect(
                self.dsn, dbname="postgres", connect_timeout=int(min(timeout_s, 15.0))
            ) as connection:
                allowed = connection.execute(question).fetchone()
        except psycopg.Error as error:
            raise StackError(f"no PostgreSQL answers at OMS_POSTGRES: {error}") from error
        if allowed != (True,):
            raise StackError("the role of OMS_POSTGRES may not create databases and roles")


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise StackError(f"{name} is not set, and the tier `given` needs it")
    return value
