"""The floor of ``POST /orders``: pgbench, one transaction an order, statement by statement, on the same server.

What a plain service would do for the same order: an order row with customer and address, two lines, two conditional stock
updates, and an outbox row with the event; six statements between BEGIN and COMMIT, each a round trip, as sent by an ORM or a
driver. Nothing but libpq stands before the database: no HTTP, no JSON, no validation, no idempotency. Same durability: same
server, same settings.
"""

import asyncio
import re
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.load import SKUS, UNITS
from benchmarks.statistics import Run, percentile
from benchmarks.testbed import Bed, BenchmarkFailed
from ops.stack.postgres import binary

DATABASE = "pgbench"

_TABLES = """
create table orders (
    id bigint generated always as identity primary key, channel text not null, external_id text not null,
    currency text not null, status text not null, total bigint not null, customer bytea not null,
    ship_to bytea not null, placed_at timestamptz not null default now(), unique (channel, external_id)
);
create table lines (
    order_id bigint not null references orders, line_id text not null, sku text not null, quantity integer not null,
    unit_price bigint not null, primary key (order_id, line_id)
);
create table stock (sku integer primary key, available bigint not null check (available >= 0)) with (fillfactor = 80);
create table outbox (id bigint generated always as identity primary key, topic text not null, key text not null,
    payload bytea not null);
create sequence external_ids;
"""

# SKUs in rising order, or two orders that share both would wait for each other in a circle.
_SCRIPT = r"""
\set a random(1, {skus})
\set b 1 + (:a % {skus})
\set first least(:a, :b)
\set second greatest(:a, :b)
begin;
insert into orders (channel, external_id, currency, status, total, customer, ship_to)
  values ('web', nextval('external_ids')::text, 'EUR', 'placed', 7997, '{customer}', '{address}') returning id \gset
insert into lines (order_id, line_id, sku, quantity, unit_price) values (:id, '1', 'SKU-' || :first, 1, 1999);
insert into lines (order_id, line_id, sku, quantity, unit_price) values (:id, '2', 'SKU-' || :second, 2, 2999);
update stock set available = available - 1 where sku = :first and available >= 1;
update stock set available = available - 2 where sku = :second and available >= 2;
insert into outbox (topic, key, payload) values ('oms.order.events', 'order-' || :id, '{payload}');
commit;
"""

_TPS = re.compile(r"^tps = ([0-9.]+) \(without initial connection time\)", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE)


class Measured(NamedTuple):
    """One run of pgbench."""

    run: Run
    latencies_ms: list[float]


async def prepare(bed: Bed, payload: bytes, customer: bytes, address: bytes) -> Path:
    """Tables with stock, and the script; the bytes are those of a real order, so rows have the same sizes."""
    dsn = await bed.add_database(DATABASE)
    await asyncio.to_thread(_create, dsn)
    text = _SCRIPT.format(
        skus=SKUS, payload=_literal(payload), customer=_literal(customer), address=_literal(address)
    )
    path = bed.stack.data / "pgbench.sql"
    await asyncio.to_thread(path.write_text, text)
    return path


def _create(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(_TABLES)
        connection.execute(
            "insert into stock select n, %s from generate_series(1, %s) n", [UNITS * 100, SKUS]
        )


def _literal(data: bytes) -> str:
    """Bytes for a bytea literal; hexadecimal, so that neither pgbench nor SQL reads anything into them."""
    return r"\x" + data.hex()


async def measure(
    bed: Bed, script: Path, clients: int, seconds: float, protocol: str = "prepared"
) -> Measured:
    """Run the script with that many clients; each sends its next order as soon as the last is durable.

    ``protocol`` is pgbench's: prepared statements are parsed once, simple ones each time. Raises `BenchmarkFailed` when
    pgbench fails, or any transaction does.
    """
    parts = conninfo_to_dict(bed.dsns[DATABASE])
    log = bed.stack.data / f"pgbench-{clients}"
    process = await asyncio.create_subprocess_exec(
        str(binary("pgbench")),
        *("--no-vacuum", "--file", str(script), "--protocol", protocol),
        *("--client", str(clients), "--jobs", str(min(clients, 2))),
        *("--time", str(max(1, round(seconds))), "--log", f"--log-prefix={log}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={
            "PGHOST": str(parts["host"]),
            "PGPORT": str(parts["port"]),
            "PGUSER": str(parts["user"]),
            "PGPASSWORD": str(parts["password"]),
            "PGDATABASE": str(parts["dbname"]),
        },
    )
    try:
        out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise BenchmarkFailed(f"pgbench ended with status {process.returncode}: {error.decode()}")
    run = parse(out.decode())
    return Measured(run, await asyncio.to_thread(_latencies, log))


def parse(report: str) -> Run:
    """How many transactions in what time, from what pgbench printed; connecting does not count. Raises `BenchmarkFailed`."""
    tps, done, failed = (pattern.search(report) for pattern in (_TPS, _DONE, _FAILED))
    if tps is None or done is None:
        raise BenchmarkFailed(f"pgbench printed no rate:\n{report}")
    if failed is not None and int(failed[1]):
        raise BenchmarkFailed(f"{failed[1]} transactions of pgbench failed:\n{report}")
    return Run(int(done[1]), int(done[1]) / float(tps[1]))


def _latencies(log: Path) -> list[float]:
    """Milliseconds of every transaction, from pgbench's logs (third column, microseconds); the logs are removed."""
    found = []
    for path in log.parent.glob(f"{log.name}.*"):
        found += [int(line.split()[2]) / 1000 for line in path.read_text().splitlines()]
        path.unlink()
    return found


def p99_ms(measured: list[Measured]) -> float:
    """The 99th percentile over several runs."""
    return percentile([ms for m in measured for ms in m.latencies_ms], 0.99)
