"""Bytes to messages and back: a registry of every published type, and upcasters for the versions before today's."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from shared.events import (
    erp,
    fulfillment,
    insights,
    integrations,
    inventory,
    notifications,
    order,
    returns,
    wms,
)
from shared.events.message import Command, Event, Message

_TYPE = re.compile(r"[a-z0-9_.]{1,100}")
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class UnknownType(ValueError):
    """A message's type has no struct here and no upcaster leads to one."""


class BadPayload(ValueError):
    """A message's bytes are not what its type promises."""


def _named(tag: str) -> str:
    """A type in words for a log. Whoever sends a record writes its type: what does not look like one may be anything."""
    return repr(tag) if _TYPE.fullmatch(tag) else "what the record has in place of its type"


def types_in(*modules: Any) -> list[type[Message]]:
    """Every concrete message type that the modules define, in order of definition."""
    return [
        t
        for module in modules
        for t in vars(module).values()
        if isinstance(t, type)
        and issubclass(t, Message)
        and t.__module__ == module.__name__
        and t.__struct_config__.tag not in (None, t.__name__)
    ]


class Codec:
    """Encodes and decodes a set of message types by their tags.

    Upcasters map an old tag to a pure ``dict -> dict`` that returns the payload of the next version (its ``type``
    included); chains are followed until a current type is reached.
    """

    def __init__(
        self, types: Iterable[type[Message]], upcasters: dict[str, Upcaster] | None = None
    ) -> None:
        self.types = {t.tag(): t for t in types}
        self._decoders = {tag: msgspec.json.Decoder(t) for tag, t in self.types.items()}
        self._upcasters = upcasters or {}
        both = self.types.keys() & self._upcasters.keys()
        if both:
            raise ValueError(f"{sorted(both)} are current types and have upcasters: drop one")

    def decode(self, tag: str, data: bytes) -> Message:
        """The message in ``data``. Raises `UnknownType` or `BadPayload`, saying which and why."""
        decoder = self._decoders.get(tag)
        try:
            if decoder is not None:
                return decoder.decode(data)
            return self._upcast(tag, data)
        except msgspec.MsgspecError as error:
            raise BadPayload(f"{tag}: {error}") from error
        except UnicodeDecodeError as error:
            raise BadPayload(f"{tag}: not UTF-8: {error}") from error
        except RecursionError as error:
            # Also in a field that no type has: the decoder descends to skip it.
            raise BadPayload(f"{tag}: nested too deeply") from error

    def knows(self, tag: str) -> bool:
        """Whether ``tag`` is a current type or can be upcast to one."""
        return tag in self._decoders or tag in self._upcasters

    def _upcast(self, tag: str, data: bytes) -> Message:
        if tag not in self._upcasters:
            raise UnknownType(
                f"{_named(tag)} is no type of this version: upgrade this service, then redrive"
            )
        payload = msgspec.json.decode(data)
        if not isinstance(payload, dict):
            raise BadPayload(f"{tag}: expected an object, got {type(payload).__name__}")
        while tag in self._upcasters:
            payload = self._upcasters[tag](payload)
            tag = payload["type"]
        if tag not in self.types:
            raise UnknownType(f"upcasting ended at {tag!r}, which is no current type")
        return msgspec.convert(payload, self.types[tag])


#: Upcasters of the published language. None yet: every type is at its first version.
UPCASTERS: dict[str, Upcaster] = {}

#: Every type that crosses a service boundary or enters a service's log.
PUBLISHED = types_in(
    order, inventory, fulfillment, returns, notifications, integrations, erp, wms, insights
)

EVENTS: dict[str, type[Event]] = {t.tag(): t for t in PUBLISHED if issubclass(t, Event)}
COMMANDS: dict[str, type[Command]] = {t.tag(): t for t in PUBLISHED if issubclass(t, Command)}

codec = Codec(PUBLISHED, UPCASTERS)

_encoder = msgspec.json.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """The message as compact JSON, its tag in ``type``."""
    return _encoder.encode(message)


def decode(tag: str, data: bytes) -> Message:
    """The published message in ``data``; see `Codec.decode`."""
    return codec.decode(tag, data)
