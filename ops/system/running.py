"""Brings the whole system up, and down again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ops import stack
from ops.stack.supervisor import Change, Supervisor
from ops.system.keys import Keys, ensure_keys
from ops.system.layout import WITHOUT_DATABASE, Layout
from shared.events import topics
from shared.ledger.migrate import migrate

ROOT = Path(__file__).parents[2]

#: From the addresses of the broker and of the databases to those that the processes are told: where something stands between.
Roads = Callable[[str, dict[str, str]], tuple[str, dict[str, str]]]


def direct(kafka: str, dsns: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Nothing stands between."""
    return kafka, dsns


@dataclass(frozen=True)
class System:
    """A running system."""

    layout: Layout
    stack: stack.Stack
    keys: Keys
    dsns: dict[str, str]
    supervisor: Supervisor


@asynccontextmanager
async def running(
    layout: Layout,
    *,
    ports: stack.Ports | None = None,
    on_change: Callable[[Change], None] | None = None,
    kafka_settings: dict[str, str] | None = None,
    postgres_settings: dict[str, str] | None = None,
    roads: Roads = direct,
) -> AsyncIterator[System]:
    """Stack, databases, migrations, topics, keys and all processes, ready; everything is stopped on leaving.

    Raises `ops.stack.StackError`, having stopped what it started, when a part does not come up.
    """
    local = await asyncio.to_thread(
        stack.start,
        layout.data,
        ports=ports,
        kafka_settings=kafka_settings,
        postgres_settings=postgres_settings,
    )
    try:
        dsns = await asyncio.to_thread(_databases, local, layout)
        await stack.create_topics(local.kafka, {t.name: layout.partitions for t in topics()})
        keys = ensure_keys(local.data, layout.services)
        programs = layout.programs(*roads(local.kafka, dsns), keys)
        addresses = {"kafka": local.kafka, "postgres": local.postgres}
        addresses |= {f"database:{name}": dsn for name, dsn in dsns.items()}
        addresses |= {name: layout.url(name) for name in layout.services}
        async with Supervisor(
            local.data, programs, addresses=addresses, on_change=on_change
        ) as supervisor:
            yield System(layout, local, keys, dsns, supervisor)
    finally:
        await asyncio.to_thread(local.stop)


def _databases(local: stack.Stack, layout: Layout) -> dict[str, str]:
    """A database for each service that has one, at its latest migration."""
    dsns: dict[str, str] = {}
    for name in layout.services:
        if name in WITHOUT_DATABASE:
            continue
        dsns[name] = stack.create_database(local.postgres, name, local.data)
        migrate(dsns[name], ROOT / "services" / name)
    return dsns
