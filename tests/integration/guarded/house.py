"""Services as they run where nobody trusts the network: Kafka by SCRAM over TLS with the rights of the manifests,
Postgres by SCRAM over TLS, callers by tokens of an identity provider; and everything logged that there is to log."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import psycopg
from psycopg.conninfo import make_conninfo

from ops.k8s.kafka import other_users, user
from ops.k8s.shapes import all_needs
from ops.stack import create_database, postgres
from ops.stack.ports import HOST, free_ports
from ops.stack.postgres import EmbeddedPostgres
from ops.stack.process import Child, spawn
from ops.stack.state import READY
from ops.stack.supervisor import Supervisor
from ops.system.keys import Keys, ensure_keys
from ops.system.layout import Layout
from shared.ledger.migrate import migrate
from tests.certificates import Authority
from tests.integration.guardedkafka import PASSWORD, GuardedKafka, prepare
from tests.issuer import Issuer
from tests.portrange import free_base

#: The embedded server is built without TLS: Debian's are not. The newest comes last.
SERVER = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
SERVICES = ("order", "inventory", "notifications", "integrations", "views")
HOME = Path(__file__).parents[3] / "services"


@dataclass
class House:
    """A running house; ``dsns`` are the services' own, ``superuser`` that of the database server."""

    layout: Layout
    keys: Keys
    kafka: GuardedKafka
    superuser: str
    dsns: dict[str, str]
    authority: Authority
    stranger: Authority
    issuer: Issuer
    supervisor: Supervisor
    settings: dict[str, dict[str, str]]

    def restart(self, service: str, **settings: str) -> None:
        """Let a service end, and start again with other settings, as a rollout does."""
        self.settings[service].update(settings)
        for process in self.supervisor.snapshot().processes:
            if process.name == service and process.pid is not None:
                os.kill(process.pid, signal.SIGTERM)

    def ready_again(self, service: str) -> bool:
        """Whether a service was started again, and serves."""
        return any(
            p.name == service and p.restarts > 0 and p.state == READY
            for p in self.supervisor.snapshot().processes
        )

    @property
    def logs(self) -> Iterator[tuple[str, str]]:
        """The name and text of everything that a process wrote."""
        for path in sorted(self.layout.data.glob("logs/*")):
            yield path.name, path.read_text(errors="replace")

    def client(self, service: str, bearer: str) -> httpx.AsyncClient:
        """A caller of a service."""
        headers = {"authorization": f"Bearer {bearer}"}
        return httpx.AsyncClient(base_url=self.layout.url(service), headers=headers, timeout=20)


@asynccontextmanager
async def open_house(
    data: Path, issuer: Issuer, extra: Mapping[str, dict[str, str]]
) -> AsyncIterator[House]:
    """Everything up and ready; ``extra`` are settings for each process."""
    authority, stranger = Authority(data, "authority"), Authority(data, "stranger")
    certificate = authority.certify(HOST)
    manifests = [*map(user, all_needs()), *other_users()]
    kafka = GuardedKafka(data, [m["metadata"]["name"] for m in manifests], certificate)
    await asyncio.to_thread(kafka.launch)
    try:
        with tls_postgres(data, certificate, authority.ca) as superuser:
            dsns = {name: _database(superuser, name, data) for name in SERVICES}
            await asyncio.to_thread(kafka.wait_ready, 60)
            await prepare(kafka, manifests)
            common = {
                f"OMS_{name}".upper(): str(value) for name, value in issuer.settings().items()
            }
            common |= {"OMS_KAFKA_PASSWORD": PASSWORD, "OMS_KAFKA_CA": str(authority.ca)}
            common |= {"OMS_PARTITIONS": "1", "OMS_LOG_LEVEL": "DEBUG", "OMS_ACCESS_LOG": "true"}
            told = {
                name: common | {"OMS_KAFKA_USERNAME": name} | extra.get(name, {})
                for name in SERVICES
            }
            layout = Layout(data, free_base(), SERVICES, mail=False, extra=told)
            keys = ensure_keys(data, SERVICES)
            programs = layout.programs(kafka.guarded, dsns, keys)
            settings = {program.name: dict(program.env) for program in programs}
            programs = [replace(program, env=settings[program.name]) for program in programs]
            async with Supervisor(data, programs) as supervisor:
                yield House(
                    layout,
                    keys,
                    kafka,
                    superuser,
                    dsns,
                    authority,
                    stranger,
                    issuer,
                    supervisor,
                    settings,
                )
    finally:
        await asyncio.to_thread(kafka.stop)


def _spawn(name: str, argv: list[str], **more: Any) -> Child:
    """Without what servers of before builtin locales do not know."""
    known = [x for x in argv if not x.startswith(("--locale-provider", "--builtin-locale"))]
    return spawn(name, known, **more)


@contextmanager
def tls_postgres(data: Path, certificate: Path, ca: Path) -> Iterator[str]:
    """A database server that takes no word but over TLS; the superuser's DSN, which asks for proof as well."""
    [port] = free_ports(1)
    server = EmbeddedPostgres(data, port)
    with patch.multiple(postgres, binary=lambda name: SERVER[-1] / name, spawn=_spawn):
        server.launch()
    try:
        server.wait_ready(60)
        home = data / "postgres"
        owner = home.stat()
        for name in ("server.crt", "server.key"):
            path = home / name
            path.write_bytes(certificate.read_bytes())
            path.chmod(0o600)
            os.chown(path, owner.st_uid, owner.st_gid)
        (home / "pg_hba.conf").write_text(f"hostssl all all {HOST}/32 scram-sha-256\n")
        with psycopg.connect(server.dsn, dbname="postgres", autocommit=True) as connection:
            connection.execute("alter system set ssl = on")
            connection.execute("select pg_reload_conf()")
        yield make_conninfo(server.dsn, sslmode="verify-full", sslrootcert=str(ca))
    finally:
        server.stop()


def _database(superuser: str, name: str, data: Path) -> str:
    dsn = create_database(superuser, name, data)
    migrate(dsn, HOME / name)
    return dsn
