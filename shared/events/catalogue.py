"""The topics: one list from which the broker is set up, consumers subscribe and documents are generated."""

from typing import NamedTuple

from shared.events.codec import PUBLISHED
from shared.events.message import Message

SERVICES = ("order", "inventory", "fulfillment", "returns", "notifications", "integrations")


class Topic(NamedTuple):
    """One Kafka topic, the types that it carries, and who may write to it."""

    name: str
    types: tuple[type[Message], ...]
    producer: str


def _producer(name: str) -> str:
    if name in _OUTSIDERS:
        return _OUTSIDERS[name]
    if name.endswith(".commands"):
        return "order service, warehouse and ERP systems"
    return f"{sequenced_by(name)} service"


def topics() -> tuple[Topic, ...]:
    """Every topic of the system, by name."""
    by_name: dict[str, list[type[Message]]] = {}
    for t in PUBLISHED:
        name = t.route()
        if name is not None:
            by_name.setdefault(name, []).append(t)
    return tuple(Topic(n, tuple(by_name[n]), _producer(n)) for n in sorted(by_name))


def sequenced_by(topic: str) -> str | None:
    """The service whose feed positions the records of a topic carry; None for topics that only outsiders write to.

    One sequenced producer a topic, so that one watermark a partition suffices. Others may write to a commands topic,
    without positions; their messages are deduplicated by business key.
    """
    _, service, kind = topic.split(".")
    return service if kind == "events" else _SEQUENCED_BY.get(topic)


_SEQUENCED_BY = {
    "oms.inventory.commands": "order",
    "oms.fulfillment.commands": "order",
    "oms.erp.documents": "integrations",
    "oms.wms.requests": "integrations",
}
_OUTSIDERS = {"oms.channel.orders": "sales channels", "oms.wms.answers": "warehouse systems"}
