"""Runs plain SQL migrations in order, once each: the ledger's own, then the service's.

``python -m shared.ledger.migrate SERVICE`` uses OMS_DATABASE.
"""

import hashlib
import os
import sys
from pathlib import Path

import psycopg

LEDGER = Path(__file__).parent / "migrations"

_TABLE = """create table if not exists migrations (
    name text primary key, sha256 text not null, at timestamptz not null default now())"""


class MigrationChanged(Exception):
    """A migration that has run here was edited afterwards. Write a new one instead."""


def migration_files(service_dir: Path | None) -> list[tuple[str, str]]:
    """Name and SQL of every migration, in order: ``ledger/0001_…`` before ``order/0001_…``."""
    dirs = [("ledger", LEDGER)]
    if service_dir is not None:
        dirs.append((service_dir.name, service_dir / "migrations"))
    return [
        (f"{name}/{path.name}", path.read_text())
        for name, folder in dirs
        for path in sorted(folder.glob("*.sql"))
    ]


def migrate(dsn: str, service_dir: Path | None) -> list[str]:
    """Bring a database up to date, in one transaction; returns the names of what ran.

    Two that start at once take turns. Raises `MigrationChanged` when a file no longer is what ran.
    """
    ran: list[str] = []
    with psycopg.connect(dsn) as connection:
        connection.execute("select pg_advisory_xact_lock(7305031)")
        connection.execute(_TABLE)
        rows = connection.execute("select name, sha256 from migrations").fetchall()
        done: dict[str, str] = dict(rows)
        for name, sql in migration_files(service_dir):
            digest = hashlib.sha256(sql.encode()).hexdigest()
            if name in done:
                if done[name] != digest:
                    raise MigrationChanged(
                        f"{name} was changed after it ran: restore it, add a new one"
                    )
                continue
            connection.execute(sql.encode())
            connection.execute(
                "insert into migrations (name, sha256) values (%s, %s)", (name, digest)
            )
            ran.append(name)
    return ran


def main() -> int:
    """Command line; see the module's docstring."""
    if len(sys.argv) != 2 or "OMS_DATABASE" not in os.environ:
        sys.stderr.write(
            "usage: OMS_DATABASE=postgresql://… python -m shared.ledger.migrate SERVICE\n"
        )
        return 2
    service_dir = Path(__file__).parents[2] / "services" / sys.argv[1]
    if not service_dir.is_dir():
        sys.stderr.write(f"no service {sys.argv[1]!r}: {service_dir} does not exist\n")
        return 2
    sys.stdout.writelines(f"{name}\n" for name in migrate(os.environ["OMS_DATABASE"], service_dir))
    return 0


if __name__ == "__main__":
    sys.exit(main())
