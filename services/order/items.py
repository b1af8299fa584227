"""The SKUs that exist, as inventory has told: a projection, so that an unknown SKU is refused at the door."""

from collections.abc import Iterable
from typing import Any

from shared.events import Message, States
from shared.events.inventory import ItemRegistered
from shared.ledger.postgres import PostgresStore
from shared.ledger.table import Projection, Statement

_ADD = "insert into items (sku) select unnest(%(sku)b::text[]) on conflict do nothing"


def _statements(messages: list[Message], states: States) -> list[Statement]:
    skus = sorted({m.sku for m in messages if isinstance(m, ItemRegistered)})
    return [(_ADD, {"sku": skus})]


ITEMS = Projection(frozenset({ItemRegistered}), _statements)


def note(states: States, event: ItemRegistered, context: Any) -> list[Any]:
    """Nothing is decided about a new SKU; the projection remembers it."""
    return []


class KnownItems:
    """Asks the projection, and remembers what is known: a SKU is never unregistered."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self._known: set[str] = set()

    async def unknown(self, skus: Iterable[str]) -> set[str]:
        """Those of the SKUs that inventory has not registered."""
        asked = set(skus) - self._known
        if asked:
            async with self._store.connection() as c:
                sql = "select sku from items where sku = any(%(skus)b::text[])"
                cursor = await c.execute(sql, {"skus": sorted(asked)})
                self._known |= {row[0] for row in await cursor.fetchall()}
        return asked - self._known
