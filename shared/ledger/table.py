"""What a service is made of, as data: its kinds of stream, and for every message the streams and the decider."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from shared.events import BadEnvelope, Codec, Context, Items, Message, States, catalogue
from shared.events.codec import PUBLISHED, UPCASTERS


class Category(NamedTuple):
    """One kind of stream: ``<prefix>-<id>``.

    ``evolve`` folds events into a state that starts as ``initial()``; ``react``, where given, answers an event that was
    just folded with commands, timers and effects. Raise ``schema`` when the shape of the state changes: snapshots of
    another schema are folded anew. ``guard`` gives a number that the database refuses to see negative.
    """

    prefix: str
    initial: Callable[[], Any]
    evolve: Callable[[Any, Any], Any]
    react: Callable[[Any, Any, Context], Items] | None = None
    schema: int = 1
    guard: Callable[[Any], int] = lambda _: 0


class Handler(NamedTuple):
    """Which streams a message needs, and what decides about it."""

    streams: Callable[[Any], Sequence[str]]
    decide: Callable[[States, Any, Context], Items]


Statement = tuple[str, dict[str, Any]]


class Projection(NamedTuple):
    """Rows for queries that the streams cannot answer, kept in the transaction of what they show.

    ``statements`` gets the batch's messages of these ``types``, handled or decided, in order, and the states of the
    batch's streams; it returns SQL with named parameters, one statement for many rows.
    """

    types: frozenset[type[Message]]
    statements: Callable[[list[Message], States], list[Statement]]


def by_subject(message: Message) -> str:
    """The stream that the message itself names."""
    return message.subject


def one(
    decide: Callable[[Any, Any, Context], Items], stream: Callable[[Any], str] = by_subject
) -> Handler:
    """A handler that decides about a single stream from its state."""

    def with_state(states: States, message: Any, context: Context) -> Items:
        (state,) = states.values()
        return decide(state, message, context)

    return Handler(lambda message: (stream(message),), with_state)


class Table:
    """A service's handlers and categories, checked once at start.

    ``internal`` are the types of this service that never travel: messages of timers, requests of effects and the
    answers to them.
    """

    def __init__(
        self,
        service: str,
        categories: Iterable[Category],
        handlers: dict[type[Message], Handler],
        internal: Iterable[type[Message]] = (),
        projection: Projection | None = None,
    ) -> None:
        self.service = service
        self.categories = {c.prefix: c for c in categories}
        self.handlers = handlers
        self.projection = projection or Projection(frozenset(), lambda _messages, _states: [])
        self.codec = Codec([*PUBLISHED, *internal], UPCASTERS)
        self._state_decoders = {
            p: msgspec.msgpack.Decoder(type(c.initial())) for p, c in self.categories.items()
        }
        self._state_encoder = msgspec.msgpack.Encoder()
        self.topics = tuple(sorted(frozenset().union(*map(catalogue.routes, handlers))))

    def category(self, stream: str) -> Category:
        """The category of a stream id. Raises LookupError, naming both, for a stream that this service does not own."""
        prefix = stream.partition("-")[0]
        try:
            return self.categories[prefix]
        except KeyError:
            raise LookupError(f"{self.service} owns no stream {stream!r}") from None

    def handles(self, tag: str) -> bool:
        """Whether messages of this type are of interest here."""
        t = self.codec.types.get(tag)
        return t in self.handlers if t is not None else self.codec.knows(tag)

    def read(self, topic: str, tag: str, data: bytes) -> Message:
        """The message in a record. Raises `UnknownType` and `BadPayload`, and `BadEnvelope` where messages of its type do
        not travel: who may write to one topic cannot say there what only others may."""
        message = self.codec.decode(tag, data)
        if topic not in catalogue.routes(type(message)):
            raise BadEnvelope(f"{tag} does not travel on {topic}")
        return message

    def encode_state(self, state: Any) -> bytes:
        """A snapshot's bytes."""
        return self._state_encoder.encode(state)

    def decode_state(self, stream: str, data: bytes) -> Any:
        """The state in a snapshot."""
        return self._state_decoders[stream.partition("-")[0]].decode(data)
