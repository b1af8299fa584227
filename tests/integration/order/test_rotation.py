"""Secrets are rotated while orders come in: no process is restarted for it, and no order is lost or refused for good."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shared.events.order import order_id_for
from shared.service import Role
from shared.service.security import (
    KeyEntry,
    generate_key,
    hash_key,
    read_keys_file,
    write_keys_file,
)
from tests.integration.order.world import World, order
from tests.ledgerkit import until

ENOUGH = 15


class Shop:
    """Places orders one after the other with a key that may change; one that was not answered is sent again."""

    def __init__(self, world: World, service: str, key: str, name: str) -> None:
        self.key = key
        self.placed: list[str] = []
        self.statuses: Counter[int] = Counter()
        self._http = httpx.AsyncClient(base_url=world.url(service), timeout=20, trust_env=False)
        self._name = name

    async def run(self) -> None:
        async with self._http:
            while True:
                id = f"{self._name}-{len(self.placed)}"
                while (await self.post(id, self.key)).status_code != 201:
                    await asyncio.sleep(0.1)
                self.placed.append(order_id_for("web", id))

    async def post(self, id: str, key: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}", "idempotency-key": id}
        answer = await self._http.post("/orders", json=order(id), headers=headers)
        self.statuses[answer.status_code] += 1
        return answer

    async def more(self) -> None:
        upto = len(self.placed) + ENOUGH
        await until(lambda: len(self.placed) >= upto, 30)


@asynccontextmanager
async def open_shop(world: World, service: str, key: str, name: str) -> AsyncIterator[Shop]:
    shop = Shop(world, service, key, name)
    running = asyncio.ensure_future(shop.run())
    try:
        yield shop
    finally:
        running.cancel()
        await asyncio.wait((running,))
    assert running.cancelled(), running.exception()


def all_placed(world: World, shop: Shop) -> bool:
    """Whether the log has every order that was answered for."""
    return all(world.types(id)[:1] == ["placed"] for id in shop.placed)


@contextmanager
def restored(path: Path) -> Iterator[list[KeyEntry]]:
    entries = read_keys_file(path)
    try:
        yield entries
    finally:
        write_keys_file(path, entries)


async def test_an_api_key_is_replaced_and_nobody_is_turned_away(world: World) -> None:
    await world.ready()
    old, new = world.keys.key("order", "channel:web"), generate_key(Role.CHANNEL)
    path = world.keys.file("order")
    with restored(path) as entries:
        async with open_shop(world, "order", old, "key") as shop:
            await shop.more()
            added = KeyEntry("channel-web-2", hash_key(new), Role.CHANNEL, "web")
            write_keys_file(path, [*entries, added])
            await until(lambda: _status(world, new, 200))
            assert await _status(world, old, 200), "both are accepted for a time"
            shop.key = new
            await shop.more()
            kept = [e for e in entries if e.sha256 != hash_key(old)]
            write_keys_file(path, [*kept, added])
            await until(lambda: _status(world, old, 401))
            await shop.more()
            # It is the same channel: what was asked under the old key is answered under the new one.
            answers = [await shop.post("key-0", new) for _ in range(2)]
            assert {a.json()["order_id"] for a in answers} == {shop.placed[0]}
        assert set(shop.statuses) == {201}
        assert all_placed(world, shop)
    await until(lambda: _status(world, old, 200))


async def _status(world: World, key: str, status: int) -> bool:
    """Whether a key's placing the same order again is answered so (200 stands for any success)."""
    async with httpx.AsyncClient(base_url=world.url(), timeout=20, trust_env=False) as http:
        headers = {"authorization": f"Bearer {key}", "idempotency-key": "probe"}
        answer = await http.post("/orders", json=order("probe"), headers=headers)
    return answer.status_code == status or (status == 200 and answer.is_success)


@pytest.mark.slow
async def test_a_database_password_is_replaced_and_no_process_is_restarted(
    world: World, tmp_path: Path
) -> None:
    await world.ready("inventory")
    was = conninfo_to_dict(world.dsns["order"])
    passfile = tmp_path / "pgpass"

    def swap(password: str) -> None:
        """The file first: whoever connects in between is refused, and tries again."""
        passfile.write_text(f"*:*:*:*:{password}\n")
        passfile.chmod(0o600)
        with psycopg.connect(world.stack.postgres, dbname="postgres", autocommit=True) as c:
            statement = sql.SQL("alter role {} password {}")
            c.execute(statement.format(sql.Identifier(str(was["user"])), sql.Literal(password)))

    def ended() -> int:
        with psycopg.connect(world.stack.postgres, dbname="postgres", autocommit=True) as c:
            found = (
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = %s"
            )
            row = c.execute(found, (was["user"],)).fetchone()
        assert row is not None
        return int(row[0])

    swap(str(was["password"]))
    without = {k: v for k, v in was.items() if k != "password"}
    settings = {"OMS_DATABASE": make_conninfo(**without, passfile=str(passfile))}
    key = world.keys.key("order", "channel:web")
    try:
        async with (
            world.beside("order", **settings) as child,
            open_shop(world, "order-beside", key, "pass") as shop,
        ):
            await shop.more()
            new = secrets.token_urlsafe(24)
            swap(new)
            assert ended() > 0
            await shop.more()
            await world.until_status("/readyz", 200, "order-beside")
            assert child.exit_status() is None
            with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
                psycopg.connect(world.dsns["order"]).close()
        assert set(shop.statuses) <= {201, 503}
    finally:
        swap(str(was["password"]))
    assert all_placed(world, shop)
