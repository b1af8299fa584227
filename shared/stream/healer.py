"""Fetches what a topic lost from the feed of the service that produced it."""

from typing import Protocol, TypeVar

import httpx
import msgspec

from shared.events import catalogue
from shared.ledger.store import Head, Partition
from shared.stream.port import Record


class CannotHeal(Exception):
    """The producer's feed did not answer: the partition stays stopped, and is tried again."""


class Healer(Protocol):
    """A source for lost records."""

    async def fetch(self, partition: Partition, after: int, upto: int) -> list[Record]:
        """Records of the partition with positions in (after, upto], a first page at least. Offsets are 0."""
        ...

    async def heads(self, topics: set[str]) -> dict[Partition, Head]:
        """The last position that the producers gave on each partition of the topics."""
        ...


class _Item(msgspec.Struct, frozen=True):
    key: str
    data: str
    headers: list[tuple[str, str]]


class _Head(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    position: int
    published: bool


class _Feed(msgspec.Struct, frozen=True):
    items: list[_Item]


class _Heads(msgspec.Struct, frozen=True):
    items: list[_Head]


T = TypeVar("T")


class HttpHealer:
    """Heals from the producers' ``/feed`` over HTTP. ``peers`` maps a service to its address."""

    def __init__(
        self, peers: dict[str, str], key: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._peers = peers
        self._http = httpx.AsyncClient(
            timeout=10, headers={"Authorization": f"Bearer {key}"}, transport=transport
        )

    async def fetch(self, partition: Partition, after: int, upto: int) -> list[Record]:
        topic, number = partition
        query: dict[str, str | int] = {
            "topic": topic,
            "partition": number,
            "after": after,
            "upto": upto,
            "limit": 500,
        }
        page = await self._get(catalogue.sequenced_by(topic), "/feed", query, _Feed)
        return [
            Record(
                topic,
                number,
                0,
                item.key.encode(),
                item.data.encode(),
                [(name, value.encode()) for name, value in item.headers],
            )
            for item in page.items
        ]

    async def heads(self, topics: set[str]) -> dict[Partition, Head]:
        out: dict[Partition, Head] = {}
        for service in {s for t in topics if (s := catalogue.sequenced_by(t))}:
            page = await self._get(service, "/feed/heads", {}, _Heads)
            out |= {
                (h.topic, h.partition): Head(h.position, h.published)
                for h in page.items
                if h.topic in topics
            }
        return out

    async def _get(
        self, service: str | None, path: str, query: dict[str, str | int], answer: type[T]
    ) -> T:
        if service is None or service not in self._peers:
            raise CannotHeal(f"no address is known of {service!r}: set OMS_PEERS")
        try:
            response = await self._http.get(self._peers[service] + path, params=query)
            response.raise_for_status()
            return msgspec.json.decode(response.content, type=answer)
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            msgspec.MsgspecError,
            UnicodeDecodeError,
        ) as error:
            # Somebody else may answer there, such as a proxy with a page of its own.
            raise CannotHeal(f"{service}{path}: {error!r}") from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
