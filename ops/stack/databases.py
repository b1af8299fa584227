"""One database and one role per service; no role may enter another service's database."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ops.stack.errors import StackError
from ops.stack.process import write_atomically

_SERVICE = re.compile(r"[a-z][a-z0-9_]{0,40}")


def create_database(superuser_dsn: str, service: str, data: Path) -> str:
    """Make role and database `oms_<service>` where missing; return the service's own libpq DSN.

    The password is random, made once and kept in `data`/secrets/oms_<service> (mode 0600); the role
    is set to it at every call, so a lost file or a foreign role heals itself. Safe to call at the
    same time from several processes. `superuser_dsn`: a role that may create roles and databases.
    """
    if not _SERVICE.fullmatch(service):
        raise StackError(f"service name {service!r} must match {_SERVICE.pattern}")
    name = f"oms_{service}"
    password = _password(data / "secrets" / name)
    try:
        with psycopg.connect(superuser_dsn, dbname="postgres", autocommit=True) as connection:
            # Two processes that find the role missing would both create it.
            connection.execute("SELECT pg_advisory_lock(hashtext('oms.create_database'))")
            _ensure_role(connection, name, password)
            _ensure_database(connection, name)
    except psycopg.Error as error:
        raise StackError(f"cannot make database {name}: {error}") from error
    return make_conninfo(superuser_dsn, user=name, password=password, dbname=name)


def drop_database(superuser_dsn: str, service: str) -> None:
    """Remove database and role `oms_<service>`, disconnecting whoever uses it; absent is fine."""
    name = sql.Identifier(f"oms_{service}")
    with psycopg.connect(superuser_dsn, dbname="postgres", autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(name))


def _password(path: Path) -> str:
    if not path.exists():
        write_atomically(path, secrets.token_urlsafe(24))
    return path.read_text()


def _ensure_role(
    connection: psycopg.Connection[tuple[object, ...]], name: str, password: str
) -> None:
    role = sql.Identifier(name)
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
    if found is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
    statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
    connection.execute(statement.format(role, sql.Literal(password)))


def _ensure_database(connection: psycopg.Connection[tuple[object, ...]], name: str) -> None:
    role = sql.Identifier(name)
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
    if found is None:
        if not connection.execute(
            "SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper"
        ).fetchone():
            # Only a member of a role may give a database to it.
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
    # Every new database lets PUBLIC connect; that would let one service read another's catalogue.
    connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(role))
