"""The topics: one list from which the broker is set up, consumers subscribe and documents are generated."""

from functools import cache
from typing import NamedTuple

from shared.events import fulfillment, order, returns
from shared.events.codec import PUBLISHED
from shared.events.message import Command, Event, Message, Request

#: Services with a feed of their own.
SERVICES = ("order", "inventory", "fulfillment", "returns", "notifications", "integrations")
#: Services whose events are derived from others' and carry no position.
UNSEQUENCED = ("insights",)


class Topic(NamedTuple):
    """One Kafka topic, the types that it carries, and who may write to it."""

    name: str
    types: tuple[type[Message], ...]
    producer: str


def _producer(name: str) -> str:
    if name in _OUTSIDERS:
        return _OUTSIDERS[name]
    if name.endswith(".commands"):
        return "warehouse, ERP and other systems outside"
    return f"{sequenced_by(name) or name.split('.')[1]} service"


def topics() -> tuple[Topic, ...]:
    """Every topic of the system, by name."""
    by_name: dict[str, list[type[Message]]] = {FORWARDED: list(FORWARDS)}
    for t in PUBLISHED:
        name = t.route()
        if name is not None:
            by_name.setdefault(name, []).append(t)
    return tuple(Topic(n, tuple(by_name[n]), _producer(n)) for n in sorted(by_name))


def sequenced_by(topic: str) -> str | None:
    """The service whose feed positions the records of a topic carry; None for topics that outsiders write to, whose
    messages are deduplicated by business key, and for those of a service that has no feed (insights: its statements are
    derived, and named by their ids).

    Nobody but that service may write to its topics, so one watermark a partition suffices.
    """
    _, service, kind = topic.split(".")
    if kind == "events":
        return None if service in UNSEQUENCED else service
    if topic in FROM_INTEGRATIONS:
        return "integrations"
    return "order" if topic == REQUESTS else None


def route(message: type[Message], sent_by: str) -> str | None:
    """The topic on which a service sends messages of a type; None for those that stay inside."""
    return FORWARDED if sent_by == "integrations" and message in FORWARDS else message.route()


@cache
def routes(message: type[Message]) -> frozenset[str]:
    """The topics on which messages of a type travel; none for those that stay inside a service."""
    own = message.route()
    return frozenset(({own} if own else set()) | ({FORWARDED} if message in FORWARDS else set()))


def sender(message: type[Message]) -> str | None:
    """The service that sends messages of a type; None for commands that come from outside, whether directly or as the
    integrations service has understood them."""
    if message.route() in FROM_INTEGRATIONS:
        return "integrations"
    if issubclass(message, Event):
        return message.service()
    return "order" if message.route() == REQUESTS else None


#: What the order service asks of others as it leads an order through.
REQUESTS = Request.route()
#: What those outside have asked for, as the integrations service has understood it. Nobody else writes there, so the
#: commands are a chain like any other, which they could not be among those that outsiders write themselves (ADR 15).
FORWARDED = "oms.integrations.forwards"
FORWARDS: tuple[type[Command], ...] = (
    order.PlaceOrder,
    order.RequestCancellation,
    returns.RequestReturn,
    fulfillment.StartPicking,
    fulfillment.RecordPick,
    fulfillment.PackItems,
    fulfillment.ShipPackage,
    fulfillment.ConfirmDelivery,
)
#: Topics of the integrations service. Those of events and requests are named for whom they are for.
FROM_INTEGRATIONS = (FORWARDED, "oms.erp.documents", "oms.wms.requests")
_OUTSIDERS = {"oms.channel.orders": "sales channels", "oms.wms.answers": "warehouse systems"}
