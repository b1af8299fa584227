"""Where the logs, the provider's ledger and the mail sink are; found by hand, or from a system's data directory."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from ops.reconcile.mail import Mail
from ops.reconcile.money import LedgerEntry, micros
from ops.reconcile.postgres import CannotRead
from ops.sink.store import Again, Received
from ops.stack import StackError, state
from ops.stack.given import GivenPostgres
from ops.stack.ports import HOST, free_ports
from ops.stack.postgres import EmbeddedPostgres
from ops.stack.state import lock_file
from shared.events import SERVICES
from shared.payments import HttpPayments, PaymentError
from shared.payments.rules import Entry
from shared.payments.sqlite_store import LedgerFileError, SqliteStore

PAGE = 1_000


@dataclass(frozen=True)
class PaymentsSource:
    """The provider's ledger: over HTTP with a key, or its file."""

    url: str = ""
    key: str = field(default="", repr=False)
    path: Path | None = None

    async def pages(self) -> AsyncIterator[list[LedgerEntry]]:
        """The whole ledger. Raises `CannotRead`."""
        try:
            if self.path is not None:
                store = SqliteStore(self.path)
                try:
                    after = 0
                    while page := store.entries(after, PAGE):
                        yield [_ledger(entry) for entry in page]
                        after = page[-1].id
                finally:
                    store.close()
                return
            async with HttpPayments(self.url, self.key, timeout_s=30) as payments:
                after = 0
                while page := await payments.entries(after, PAGE):
                    yield [_ledger(entry) for entry in page]
                    after = page[-1].id
        except (PaymentError, LedgerFileError) as error:
            raise CannotRead(f"the provider's ledger cannot be read: {error}") from error


def _ledger(e: Entry) -> LedgerEntry:
    return LedgerEntry(
        e.id, e.kind, e.key, e.payment_id, e.provider_ref, e.amount, e.currency, micros(e.at)
    )


class _Shown(msgspec.Struct):
    id: str
    to: list[str]
    received: int
    at: str


class _Page(msgspec.Struct):
    items: list[_Shown]
    after: int


@dataclass(frozen=True)
class SinkSource:
    """The mail sink: its HTTP view (with a key, where it wants one), or its file."""

    url: str = ""
    key: str = field(default="", repr=False)
    path: Path | None = None

    async def pages(self) -> AsyncIterator[list[Mail]]:
        """Every message with how often it came. Raises `CannotRead`."""
        if self.path is not None:
            yield list(_mails_in(self.path))
            return
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        after = 0
        try:
            async with httpx.AsyncClient(
                base_url=self.url, headers=headers, timeout=30, trust_env=False
            ) as http:
                while True:
                    params = {"after": after, "limit": PAGE}
                    answer = (await http.get("/messages", params=params)).raise_for_status()
                    page = msgspec.json.decode(answer.content, type=_Page)
                    if not page.items:
                        return
                    yield [
                        Mail(m.id, ", ".join(m.to), m.received, micros(_time(m.at)))
                        for m in page.items
                    ]
                    after = page.after
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise CannotRead(f"the mail sink at {self.url} cannot be read: {error}") from error


def _mails_in(path: Path) -> Iterator[Mail]:
    """Messages of the sink's file. A last line without its end was never acknowledged, and does not count."""
    decoder = msgspec.json.Decoder(Received | Again)
    mails: dict[str, Mail] = {}
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    m = decoder.decode(line)
                    if isinstance(m, Received):
                        mails[m.id] = Mail(m.id, ", ".join(m.to), 1, micros(m.at))
                    else:
                        mails[m.id] = mails[m.id]._replace(received=mails[m.id].received + 1)
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise CannotRead(f"the mail sink's file {path} cannot be read: {error!r}") from error
    return iter(mails.values())


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


@dataclass(frozen=True)
class Sources:
    """Everything that is to be reconciled. What is absent is named in the report, with the checks not made."""

    databases: Mapping[str, str]
    payments: PaymentsSource | None = None
    sink: SinkSource | None = None


class _Keys(msgspec.Struct):
    """What we need of DATA/keys/plain.json."""

    payments: str


@asynccontextmanager
async def sources_of(data: Path) -> AsyncIterator[Sources]:
    """The sources of the system over a data directory; of a stopped one, its database is started for as long as this
    context lasts.

    Raises `StackError` when there is no such system or its database does not start.
    """
    data = data.resolve()  # noqa: ASYNC240 - once, and nothing else runs yet
    found = state.read(data)
    if found is not None and found.running:
        prefix = "database:"
        databases = {
            name.removeprefix(prefix): dsn
            for name, dsn in found.addresses.items()
            if name.startswith(prefix)
        }
        ports = {p.name: p.port for p in found.processes if p.running and p.port}
        yield Sources(databases, _payments(data, ports), _sink(data, ports))
        return
    if not (data / "secrets").is_dir():
        raise StackError(f"{data} holds no system: give the directory of one with --data")
    async with _stopped(data) as superuser:
        databases = await asyncio.to_thread(_databases, superuser)
        yield Sources(databases, _payments(data, {}), _sink(data, {}))


def _payments(data: Path, ports: Mapping[str, int | None]) -> PaymentsSource | None:
    keys = data / "keys" / "plain.json"
    if ports.get("payments") and keys.exists():
        key = msgspec.json.decode(keys.read_bytes(), type=_Keys).payments
        return PaymentsSource(url=f"http://{HOST}:{ports['payments']}", key=key)
    path = data / "payments.sqlite"
    return PaymentsSource(path=path) if path.exists() else None


def _sink(data: Path, ports: Mapping[str, int | None]) -> SinkSource | None:
    if ports.get("sink"):
        return SinkSource(url=f"http://{HOST}:{ports['sink']}")
    path = data / "mail.jsonl"
    return SinkSource(path=path) if path.exists() else None


@asynccontextmanager
async def _stopped(data: Path) -> AsyncIterator[str]:
    """The address of the data directory's database, started if it is the embedded one."""
    tier = "given"
    if (data / "stack.json").exists():
        tier = msgspec.json.decode((data / "stack.json").read_bytes(), type=dict[str, str])["tier"]
    if tier == "given":
        yield GivenPostgres.from_environment().dsn
        return
    if tier != "embedded":
        raise StackError(
            f"the system over {data} is stopped and its database runs in Docker: start it (`oms up`) first"
        )
    lock = lock_file(data, "stack")
    server = EmbeddedPostgres(data, free_ports(1)[0])
    try:
        await asyncio.to_thread(server.launch)
        await asyncio.to_thread(server.wait_ready, 60.0)
        yield server.dsn
    finally:
        await asyncio.to_thread(server.stop)
        lock.close()


def _databases(superuser: str) -> dict[str, str]:
    """The services' databases that exist, read as the superuser: a stopped system's roles are of no use."""
    with psycopg.connect(superuser, dbname="postgres") as c:
        names = {row[0] for row in c.execute("select datname from pg_database").fetchall()}
    wanted = (*SERVICES, "views")
    return {s: make_conninfo(superuser, dbname=f"oms_{s}") for s in wanted if f"oms_{s}" in names}
