"""Topics from the catalogue, and for every service a Kafka user that may do exactly what its code does."""

from collections.abc import Iterable
from typing import NamedTuple

from ops.k8s.names import KAFKA, PARTITIONS, REPLICAS, Manifest, manifest
from ops.k8s.shapes import Needs
from shared.events import topics

_CLUSTER = {"strimzi.io/cluster": KAFKA}


class Outsider(NamedTuple):
    """Somebody else's system: the topics that it writes and reads, in groups whose names begin with its own."""

    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


#: Who comes from outside. Systems of a company's partners sign in as one of these.
OUTSIDE = {
    "sales-channels": Outsider(writes=("oms.channel.orders",)),
    "warehouse": Outsider(
        writes=("oms.fulfillment.commands", "oms.inventory.commands", "oms.wms.answers"),
        reads=("oms.wms.requests",),
    ),
    "accounting": Outsider(reads=("oms.erp.documents",)),
}
#: Reads how far behind the consumer groups are, for the autoscaler; it sees no record.
LAG_READER = "kafka-lag"


def topic_manifests() -> list[Manifest]:
    """A KafkaTopic for every topic of the catalogue."""
    return [
        manifest(
            "kafka.strimzi.io/v1",
            "KafkaTopic",
            topic.name,
            _CLUSTER,
            spec={
                "partitions": PARTITIONS,
                "replicas": REPLICAS,
                "config": {
                    "min.insync.replicas": 2,
                    # A new read model starts at the beginning. With less, it is healed from the producers' feeds.
                    "retention.ms": -1,
                    "cleanup.policy": "delete",
                },
            },
        )
        for topic in topics()
    ]


def user(needs: Needs) -> Manifest:
    """The Kafka user of a service. Writing to a topic includes idempotent writing since Kafka 3.0 (KIP-679)."""
    group = _resource(
        "group", needs.group, "prefix" if needs.shape.group_per_version else "literal"
    )
    rules = [
        *_read(needs.consumes),
        *_write(needs.produces),
        _rule(group, "Describe", "Read"),
    ]
    if not needs.has_database:
        own = _resource("topic", needs.group, "prefix")
        rules.append(_rule(own, "Create", "Delete", "Describe", "Read", "Write"))
    if needs.shape.sees_lag:
        rules += _see_lag()
    return _user(needs.name, rules)


def other_users() -> list[Manifest]:
    """The users that are no service."""
    outside = [_user(name, _outsider(name, who)) for name, who in OUTSIDE.items()]
    return [*outside, _user(LAG_READER, _see_lag())]


def _see_lag() -> list[Manifest]:
    """Where every group stands and every topic ends, and no record."""
    seen = [_resource("topic", "oms.", "prefix"), _resource("group", "oms-", "prefix")]
    return [_rule(r, "Describe") for r in seen]


def _outsider(name: str, who: Outsider) -> list[Manifest]:
    group = [_rule(_resource("group", name, "prefix"), "Describe", "Read")] if who.reads else []
    return [*_read(who.reads), *_write(who.writes), *group]


def _read(topics: Iterable[str]) -> list[Manifest]:
    return [_rule(_resource("topic", t), "Describe", "Read") for t in topics]


def _write(topics: Iterable[str]) -> list[Manifest]:
    return [_rule(_resource("topic", t), "Describe", "Write") for t in topics]


def _user(name: str, acls: list[Manifest]) -> Manifest:
    return manifest(
        "kafka.strimzi.io/v1",
        "KafkaUser",
        name,
        _CLUSTER,
        spec={
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": acls},
        },
    )


def _resource(kind: str, name: str, pattern: str = "literal") -> Manifest:
    return {"type": kind, "name": name, "patternType": pattern}


def _rule(resource: Manifest, *operations: str) -> Manifest:
    return {"resource": resource, "operations": list(operations)}
