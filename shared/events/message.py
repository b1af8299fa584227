"""The two kinds of message, and the values that they carry.

An *event* states what happened and belongs to one stream; a *command* asks one service to decide. Where a message goes
follows from its type alone: the tag names the service and the version, the class names the stream and the key.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

import msgspec

#: A point in time as it travels: RFC 3339 text with an offset.
Instant = Annotated[datetime, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """Base of everything that crosses a service boundary or enters a log.

    Messages hold no cycles, so the collector need not look at them (``gc=False``).

    The tag, ``oms.<service>.<name>.v<version>``, is the CloudEvents type and stands in the payload as ``type``.
    """

    @classmethod
    def route(cls) -> str | None:
        """The Kafka topic that carries this type; None when it stays inside its service."""
        raise NotImplementedError(f"{cls.__name__} names no topic")

    @property
    def subject(self) -> str:
        """Stream id that this message is about, such as ``order-0190…`` (CloudEvents ``subject``)."""
        raise NotImplementedError(f"{type(self).__name__} names no stream")

    @property
    def key(self) -> str:
        """Kafka key: messages of equal key keep their order. The order's id, or the SKU for stock."""
        raise NotImplementedError(f"{type(self).__name__} names no key")

    @classmethod
    def tag(cls) -> str:
        """The type's full name and version, such as ``oms.order.placed.v1``."""
        tag = cls.__struct_config__.tag
        assert isinstance(tag, str), f"{cls.__name__} has no tag"
        return tag

    @classmethod
    def service(cls) -> str:
        """The service that the tag names, such as ``order``."""
        return cls.tag().split(".")[1]


class Event(Message, frozen=True, kw_only=True):
    """Something that happened: appended to its stream and, unless private, published on ``oms.<service>.events``."""

    #: A private event is kept in the log of its service and not published.
    private: ClassVar[bool] = False

    @classmethod
    def route(cls) -> str | None:
        """The topic that this event is published on; None for a private one."""
        return None if cls.private else f"oms.{cls.service()}.events"


class Command(Message, frozen=True, kw_only=True):
    """A request to one service, sent on ``oms.<service>.commands``."""

    @classmethod
    def route(cls) -> str | None:
        """The topic that carries this command."""
        return f"oms.{cls.service()}.commands"


class Request(Command, frozen=True, kw_only=True):
    """What the order service asks of another as it leads an order through. Nobody else may write to the topic, so these
    are a chain, which they could not be among what comes from outside (ADR 15)."""

    @classmethod
    def route(cls) -> str:
        return "oms.order.requests"


class Money(msgspec.Struct, frozen=True, gc=False):
    """An amount in minor units (pence, cents) of an ISO 4217 currency."""

    amount: int
    currency: str


class Address(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Where goods go. ``country`` is ISO 3166-1 alpha-2, or empty where the source does not say."""

    name: str = ""
    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postal_code: str = ""
    country: str = ""


class Customer(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Who ordered; every part may be missing (a guest)."""

    customer_id: str = ""
    name: str = ""
    email: str = ""
    phone: str = ""


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One line of an order.

    ``unit_price`` and ``total`` are minor units. ``total`` is the truth; it differs from quantity x unit_price only
    where the source has prices below the minor unit, kept as decimal text in ``exact_unit_price``.
    """

    line_id: str
    sku: str
    quantity: int
    unit_price: int
    total: int
    exact_unit_price: str | None = None
    description: str = ""


class Charge(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A part of the order's total that is not goods. ``amount`` is minor units and never negative; a discount
    subtracts."""

    kind: Literal["shipping", "tax", "discount", "fee"]
    amount: int
    description: str = ""


class Tender(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One of the payments by which an order was paid at its channel, in minor units of the order's currency.

    ``approved_at`` is the business time at which the channel had it approved.
    """

    method: str
    amount: int
    instalments: int = 1
    approved_at: Instant | None = None


class LineQuantity(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Some units of one order line."""

    line_id: str
    sku: str
    quantity: int


class Allocation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Units of one order line promised from one stock location."""

    line_id: str
    sku: str
    location: str
    quantity: int


class StockLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Units of a SKU at a location, as a movement states them (signed where the movement may lower stock)."""

    sku: str
    location: str
    quantity: int


#: How an order meets a stock-out: refuse at once, or wait in line for the next receipt.
BackorderPolicy = Literal["refuse", "wait"]
