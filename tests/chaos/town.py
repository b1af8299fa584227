"""The system under chaos: all processes on one machine, roads that can fail before the broker and the database, a disk
that can fill, and clocks that can jump."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from psycopg.conninfo import make_conninfo

from ops.cli.hosting import layout_of
from ops.stack import Ports
from ops.stack.kafka import EmbeddedKafka
from ops.stack.ports import HOST, free_ports
from ops.stack.postgres import EmbeddedPostgres
from ops.stack.supervisor import Change, Supervisor
from ops.system import SERVICES, System, running
from tests.chaos.road import Road
from tests.portrange import free_base

#: The insights have a test of their own (`tests/integration/insights`), and are no part of any order's way.
TOWN = tuple(name for name in SERVICES if name != "insights")
#: Everything that is killed, the provider and the mail server included.
PROCESSES = (*TOWN, "payments", "sink")
#: The town works in all of its warehouses itself.
NO_PARTNER = {"integrations": {"OMS_WMS_LOCATIONS": "[]"}}
POSTGRES = {"max_connections": "60", "shared_buffers": "64MB", "max_wal_size": "256MB"}
DISK_BYTES = 4 << 30
ROOM_BYTES, FILL_ATTEMPTS = 256 << 10, 20
#: Where `make chaos` builds it (requirements/chaos.txt); ``OMS_FAKETIME`` names another place.
FAKETIME = Path(
    os.environ.get("OMS_FAKETIME")
    or Path(sys.prefix, "faketime/libfaketime/vendor/libfaketime/src/libfaketime.so.1")
)


class Disk:
    """A small disk in memory with the database on it. ``missing`` says why there is none."""

    def __init__(self, at: Path) -> None:
        self._at = at
        self.missing = ""

    def mount(self) -> None:
        """Make it, where we may; in the place of one that a killed run has left."""
        _run("umount", "-l", str(self._at))
        self._at.mkdir(parents=True, exist_ok=True)
        done = _run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(self._at))
        self.missing = f"no disk of our own: {done}" if done else ""

    def unmount(self) -> None:
        """Give it back; lazily, so that nothing that still ends can keep it."""
        if not self.missing:
            _run("umount", "-l", str(self._at))

    def take(self, postgres: EmbeddedPostgres, home: Path) -> None:
        """Move the database here; it is stopped for that."""
        if self.missing:
            return
        postgres.stop()
        if failed := _run("cp", "--archive", str(home), str(self._at)):
            raise RuntimeError(f"the database could not be moved: {failed}")
        shutil.rmtree(home)
        home.symlink_to(self._at / home.name)
        postgres.launch()
        postgres.wait_ready(60)

    def fill(self) -> None:
        """Leave next to no room. The database writes meanwhile, and no disk gets smaller than what is on it."""
        for room in range(1, FILL_ATTEMPTS + 1):
            found = os.statvfs(self._at)
            used = (found.f_blocks - found.f_bfree) * found.f_frsize
            if not (failed := self._resize(used + room * ROOM_BYTES)):
                return
        raise RuntimeError(f"the disk could not be made small: {failed}")

    def free(self) -> None:
        """Make room again."""
        if failed := self._resize(DISK_BYTES):
            raise RuntimeError(f"the disk could not be made large again: {failed}")

    def _resize(self, size: int) -> str:
        return _run("mount", "-o", f"remount,size={size}", str(self._at))


class Clocks:
    """The services' clocks; ``missing`` says why they cannot jump."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.missing = (
            ""
            if FAKETIME.exists()
            else f"no libfaketime at {FAKETIME}: `make chaos` builds it, with gcc and make"
        )

    def environment(self) -> dict[str, dict[str, str]]:
        """What each service is started with."""
        if self.missing:
            return {}
        for name in TOWN:
            self.jump(name, 0)
        return {
            name: {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self._folder / name),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
            for name in TOWN
        }

    def clear(self) -> None:
        """Remove the shared memory that the library leaves behind for every process that was killed."""
        for path in Path("/dev/shm").glob("*faketime_s[eh]m_*"):
            if not psutil.pid_exists(int(path.name.rpartition("_")[2])):
                path.unlink(missing_ok=True)

    def jump(self, service: str, seconds: int) -> None:
        """From now on this clock is wrong by so much."""
        self._folder.mkdir(parents=True, exist_ok=True)
        new = self._folder / f"{service}.new"
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._folder / service)  # read at any moment, so never half written


def _run(*argv: str) -> str:
    """What went wrong; empty for nothing."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip() or f"status {done.returncode}" if done.returncode else ""


@dataclass
class Town:
    """What faults may do something to."""

    system: System
    postgres: EmbeddedPostgres
    kafka: EmbeddedKafka
    to_postgres: Road
    to_kafka: Road
    disk: Disk
    clocks: Clocks
    changes: list[Change]

    def pid(self, name: str) -> int | None:
        """The process of a service that runs now."""
        for process in self.system.supervisor.snapshot().processes:
            if process.name == name and process.running:
                return process.pid
        return None


@asynccontextmanager
async def town(data: Path) -> AsyncIterator[Town]:
    """Everything up and ready over a fresh directory; everything stopped on leaving."""
    ports = Ports.free()
    guarded, kafka_road, postgres_road = free_ports(3)
    disk, clocks = Disk(data / "disk"), Clocks(data / "clocks")
    usual = layout_of(data, free_base())
    layout = replace(
        usual, services=TOWN, extra=_merged(usual.extra, NO_PARTNER, clocks.environment())
    )
    changes: list[Change] = []
    async with AsyncExitStack() as stack:
        stack.callback(clocks.clear)
        await asyncio.to_thread(disk.mount)
        stack.callback(disk.unmount)
        to_kafka, to_postgres = Road(kafka_road, guarded), Road(postgres_road, ports.postgres)
        for road in (to_kafka, to_postgres):
            await road.open()
            stack.push_async_callback(road.close)
        system = await stack.enter_async_context(
            running(
                layout,
                ports=ports,
                on_change=changes.append,
                postgres_settings=POSTGRES,
                kafka_settings=_two_doors(ports, guarded, kafka_road),
                roads=lambda _, dsns: (
                    f"{HOST}:{kafka_road}",
                    {name: make_conninfo(dsn, port=postgres_road) for name, dsn in dsns.items()},
                ),
            )
        )
        postgres, kafka = system.stack.postgres_server, system.stack.kafka_server
        if not isinstance(postgres, EmbeddedPostgres) or not isinstance(kafka, EmbeddedKafka):
            raise RuntimeError("chaos needs servers of its own: set OMS_STACK=embedded")
        await asyncio.to_thread(disk.take, postgres, data / "postgres")
        watching = asyncio.create_task(_watch(system.supervisor, asyncio.current_task()))
        stack.callback(watching.cancel)
        yield Town(system, postgres, kafka, to_postgres, to_kafka, disk, clocks, changes)


async def _watch(supervisor: Supervisor, run: asyncio.Task[Any] | None) -> None:
    """End the run at Ctrl-C, of which the supervisor hears, and when nothing is supervised any more."""
    assert run is not None
    try:
        await supervisor.wait()
    except Exception:
        run.cancel()
        raise
    run.cancel()


def _merged(*several: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    """Settings of each process from several sources."""
    out: dict[str, dict[str, str]] = {}
    for extra in several:
        for name, environment in extra.items():
            out.setdefault(name, {}).update(environment)
    return out


def _two_doors(ports: Ports, guarded: int, road: int) -> dict[str, str]:
    """One listener for those outside, and one that tells its clients to come by the road."""
    listeners = f"PLAINTEXT://{HOST}:{ports.kafka},ROAD://{HOST}:{guarded}"
    return {
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,ROAD:PLAINTEXT",
        "listeners": f"{listeners},CONTROLLER://{HOST}:{ports.kafka_controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{ports.kafka},ROAD://{HOST}:{road}",
    }
