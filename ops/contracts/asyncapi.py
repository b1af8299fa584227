"""The AsyncAPI 3.0 document of all topics: channels, messages with headers and keys, who sends and who receives."""

from collections.abc import Callable
from inspect import getdoc
from typing import Any

import msgspec

from ops.contracts.tables import receivers, sender
from shared.events import Command, Message, Topic, topics
from shared.events.samples import envelope_of, key_template, sample_of

Json = dict[str, Any]

_DIGITS: Json = {"pattern": "^[0-9]+$"}
_HEADERS: dict[str, tuple[str, Json]] = {
    "ce_specversion": ("Version of CloudEvents", {"const": "1.0"}),
    "content-type": ("Media type of the payload", {"const": "application/json"}),
    "ce_id": ("Unique and deterministic: the same message sent twice has the same id", {}),
    "ce_type": ("Type and version of the message", {}),
    "ce_source": ("The producer, such as /oms/order", {"format": "uri-reference"}),
    "ce_subject": ("Stream that the message is about", {}),
    "ce_time": ("When the producer recorded it (RFC 3339, UTC)", {"format": "date-time"}),
    "ce_sequence": ("Position in the producer's feed; absent from messages of outside", _DIGITS),
    "ce_previous": (
        "Position of the record before it on the same topic and partition; 0 for the first",
        _DIGITS,
    ),
    "ce_correlationid": ("What it all began with", {}),
    "ce_causationid": ("Id of the message that caused this one", {}),
    "ce_actor": ("Who asked for it", {}),
    "traceparent": ("W3C trace context", {}),
}
_ALWAYS = ["ce_specversion", "ce_id", "ce_type", "ce_source"]

INFO: Json = {
    "title": "OMS topics",
    "version": "1",
    "description": "Every event and command between the services of the order management system, and from and to the "
    "world. CloudEvents 1.0 in Kafka binary mode: attributes as headers, JSON as payload. Messages of equal key keep "
    "their order. A consumer remembers per partition the `ce_sequence` that it handled: at or below it a record is a "
    "duplicate, and a record whose `ce_previous` is above it says that something between was lost.",
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}


def document() -> Json:
    """The whole document."""
    every = topics()
    types = [t for topic in every for t in topic.types]
    payloads, schemas = _schemas(types)
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": "application/json",
        "channels": {topic.name: _channel(topic) for topic in every},
        "operations": {
            name: operation for topic in every for name, operation in _operations(topic).items()
        },
        "components": {
            "messages": {t.tag(): _message(t, payloads[t]) for t in types},
            "schemas": {"CloudEvent": _headers()} | schemas,
        },
    }


def _channel(topic: Topic) -> Json:
    return {
        "address": topic.name,
        "description": f"Written by: {topic.producer}.",
        "messages": {t.tag(): {"$ref": f"#/components/messages/{t.tag()}"} for t in topic.types},
        "bindings": {"kafka": {"topic": topic.name, "bindingVersion": "0.5.0"}},
    }


def _operations(topic: Topic) -> Json:
    """One operation for each participant and direction, named for both."""
    return _directed(topic, "send", lambda t: [sender(t, topic.name)]) | _directed(
        topic, "receive", receivers
    )


def _directed(topic: Topic, action: str, who: Callable[[type[Message]], list[str]]) -> Json:
    by_name: dict[str, list[str]] = {}
    for t in topic.types:
        for name in who(t):
            by_name.setdefault(name, []).append(t.tag())
    return {
        f"{name}.{action}.{topic.name}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{topic.name}"},
            "summary": f"{name} {action}s {'commands' if _commands(topic) else 'events'}",
            "tags": [{"name": name}],
            "messages": [{"$ref": f"#/channels/{topic.name}/messages/{tag}"} for tag in tags],
        }
        for name, tags in sorted(by_name.items())
    }


def _commands(topic: Topic) -> bool:
    return all(issubclass(t, Command) for t in topic.types)


def _message(t: type[Message], payload: Json) -> Json:
    about = (getdoc(t) or "").strip()
    sample = sample_of(t)
    headers = {name: value.decode() for name, value in envelope_of(sample).headers()}
    return {
        "name": t.tag(),
        "title": t.__name__,
        "summary": about.split("\n\n")[0].replace("\n", " "),
        "description": about,
        "contentType": "application/json",
        "headers": {"$ref": "#/components/schemas/CloudEvent"},
        "payload": payload,
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The key is `{key_template(t)}`."},
                "bindingVersion": "0.5.0",
            }
        },
        "examples": [{"headers": headers, "payload": msgspec.to_builtins(sample)}],
    }


def _headers() -> Json:
    return {
        "type": "object",
        "required": _ALWAYS,
        "properties": {
            name: {"type": "string", "description": about, **more}
            for name, (about, more) in _HEADERS.items()
        },
    }


def _schemas(types: list[type[Message]]) -> tuple[dict[type[Message], Json], Json]:
    """A reference to each type's payload, and payloads and their parts, each once."""
    references, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    for t, reference in zip(types, references, strict=True):
        own = components[reference["$ref"].rpartition("/")[2]]
        own["properties"]["type"] = {"const": t.tag()}
    return dict(zip(types, references, strict=True)), dict(components)
