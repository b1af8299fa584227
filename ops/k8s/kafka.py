"""Topics from the catalogue, and for every service a Kafka user that may do exactly what its code does."""

from ops.k8s.names import KAFKA, PARTITIONS, Manifest, manifest
from ops.k8s.shapes import Needs
from shared.events import topics

_CLUSTER = {"strimzi.io/cluster": KAFKA}

#: Who writes from outside, and where. `integrations` of a company sign in as one of these.
OUTSIDE = {
    "sales-channels": ("oms.channel.orders",),
    "warehouse": ("oms.fulfillment.commands", "oms.inventory.commands"),
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
                "replicas": 3,
                "config": {
                    # Acknowledged means: on two brokers.
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
        *(_rule(_resource("topic", t), "Describe", "Read") for t in needs.consumes),
        *(_rule(_resource("topic", t), "Describe", "Write") for t in needs.produces),
        _rule(group, "Describe", "Read"),
    ]
    return _user(needs.name, rules)


def other_users() -> list[Manifest]:
    """The users that are no service."""
    outside = [
        _user(name, [_rule(_resource("topic", t), "Describe", "Write") for t in written])
        for name, written in OUTSIDE.items()
    ]
    seen = [_resource("topic", "oms.", "prefix"), _resource("group", "oms-", "prefix")]
    return [*outside, _user(LAG_READER, [_rule(r, "Describe") for r in seen])]


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
