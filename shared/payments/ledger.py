"""The fake provider's append-only ledger: each key answered once, then the same answer for ever."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from shared.payments.port import IdempotencyMismatch, InvalidRequest, Outcome
from shared.payments.rules import (
    Account,
    Authorise,
    Entry,
    Request,
    answers,
    check_key,
    decide,
    evolve,
    outcome_of,
    validate,
)

Clock = Callable[[], datetime]
ENTRIES_MAX = 1000
"""The largest page of the ledger that can be asked for."""


def utc_now() -> datetime:
    """Return the time of the machine's clock, in UTC."""
    return datetime.now(UTC)


class Store(Protocol):
    """Where entries and the accounts folded from them are kept."""

    def next_id(self) -> int:
        """Return the id of the entry to append next: one above the last, 1 for the first."""

    def by_key(self, key: str) -> Entry | None:
        """Return the entry that answered this idempotency key."""

    def account(self, provider_ref: str) -> Account | None:
        """Return the authorisation with this reference as it stands."""

    def append(self, entry: Entry, account: Account | None) -> None:
        """Add an entry, and set the account that it changed (None if it moved no money)."""

    def entries(self, after: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries with ids above `after`, ascending."""


class MemoryStore:
    """A store in dictionaries, for simulation and benchmarks.

    About 0.5 kB an entry; nothing survives.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._by_key: dict[str, Entry] = {}
        self._accounts: dict[str, Account] = {}

    def next_id(self) -> int:
        """See `Store.next_id`."""
        return len(self._entries) + 1

    def by_key(self, key: str) -> Entry | None:
        """See `Store.by_key`."""
        return self._by_key.get(key)

    def account(self, provider_ref: str) -> Account | None:
        """See `Store.account`."""
        return self._accounts.get(provider_ref)

    def append(self, entry: Entry, account: Account | None) -> None:
        """See `Store.append`."""
        self._entries.append(entry)
        self._by_key[entry.key] = entry
        if account is not None:
            self._accounts[account.provider_ref] = account

    def entries(self, after: int, limit: int) -> list[Entry]:
        """See `Store.entries`. Ids are dense from 1, so `after` is an index."""
        return self._entries[after : after + limit]


class LedgerReader(Protocol):
    """Reads the provider's ledger, for reconciling it with our own."""

    async def entries(self, after: int = 0, limit: int = 500) -> list[Entry]:
        """Return up to `limit` (1 to 1,000) entries with ids above `after`, ascending.

        Empty at the end.
        """


class Applied(NamedTuple):
    """An answer; `replayed` if it had been given before; `method` the token behind it, if known."""

    outcome: Outcome
    replayed: bool
    method: str


class Ledger:
    """Decides requests against a store.

    Synchronous: whoever shares it makes the calls one at a time.
    """

    def __init__(self, store: Store, clock: Clock = utc_now) -> None:
        self._store = store
        self._clock = clock

    def apply(self, request: Request) -> Applied:
        """Answer `request`, recording it unless its key is known.

        Raises `InvalidRequest` for a request that can't be decided and `IdempotencyMismatch` for
        a key that answered another request; neither records anything.
        """
        validate(request)
        store = self._store
        known = store.by_key(request.key)
        if known is not None:
            if not answers(known, request):
                raise IdempotencyMismatch(
                    f"idempotency key {request.key!r} was used for another request (ledger entry "
                    f"{known.id}, {known.operation} of {known.amount} {known.currency}); "
                    "a new request needs a new key"
                )
            return Applied(outcome_of(known), True, known.method)
        account = None if isinstance(request, Authorise) else store.account(request.provider_ref)
        entry = decide(request, account, store.next_id(), self._clock())
        after = evolve(account, entry)
        store.append(entry, None if after is account else after)
        return Applied(outcome_of(entry), False, entry.method)

    def lookup(self, key: str) -> Outcome | None:
        """Return the answer stored for `key`, None if there is none. Raises `InvalidRequest`."""
        check_key(key)
        entry = self._store.by_key(key)
        return None if entry is None else outcome_of(entry)

    def entries(self, after: int = 0, limit: int = ENTRIES_MAX) -> list[Entry]:
        """Return up to `limit` entries with ids above `after`, ascending.

        Raises `InvalidRequest`.
        """
        if after < 0 or not 1 <= limit <= ENTRIES_MAX:
            raise InvalidRequest(
                f"after={after} must be at least 0 and limit={limit} within 1 to {ENTRIES_MAX}"
            )
        return self._store.entries(after, limit)
