"""How many processes a service has: by the lag of its consumer group, by processor time where the group has no fixed name."""

from ops.k8s.kafka import LAG_READER
from ops.k8s.names import KAFKA, KAFKA_PORT, NAMESPACE, SERVICE, Manifest, labels, manifest
from ops.k8s.shapes import Needs

#: Two, so that a node may go at any time; half of the partitions, so that every process has at least two.
PROCESSES_MIN, PROCESSES_MAX = 2, 6
#: Records behind, per process. A service handles about so many in a second or two.
LAG_PER_PROCESS = 1000


def scaled(needs: Needs) -> Manifest:
    """The autoscaler of a service."""
    return manifest(
        "keda.sh/v1alpha1",
        "ScaledObject",
        needs.name,
        labels(needs.name, SERVICE),
        spec={
            "scaleTargetRef": {"name": needs.name},
            "minReplicaCount": PROCESSES_MIN,
            "maxReplicaCount": PROCESSES_MAX,
            "pollingInterval": 15,
            "cooldownPeriod": 300,
            # Every process that comes or goes makes the group give out its partitions anew: not more often than needed.
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleDown": {"stabilizationWindowSeconds": 600},
                        "scaleUp": {
                            "stabilizationWindowSeconds": 60,
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                        },
                    }
                }
            },
            "triggers": [_cpu()]
            if needs.shape.group_per_version
            # A topic that nobody asked for is never read: its whole length would count as lag.
            else [_lag(needs, t) for t in needs.consumes if t not in needs.shape.reads_if_set],
        },
    )


def lag_reader() -> Manifest:
    """How the autoscaler signs in to Kafka."""
    ca = {"parameter": "ca", "name": f"{KAFKA}-cluster-ca-cert", "key": "ca.crt"}
    password = {"parameter": "password", "name": LAG_READER, "key": "password"}
    return manifest(
        "keda.sh/v1alpha1",
        "TriggerAuthentication",
        LAG_READER,
        spec={
            "secretTargetRef": [ca, password],
            "configMapTargetRef": [{"parameter": "username", "name": LAG_READER, "key": "name"}],
        },
    )


def lag_reader_name() -> Manifest:
    """The name of its user, which KEDA wants from a secret or a ConfigMap."""
    return manifest("v1", "ConfigMap", LAG_READER, data={"name": LAG_READER})


def _lag(needs: Needs, topic: str) -> Manifest:
    return {
        "type": "kafka",
        "authenticationRef": {"name": LAG_READER},
        "metadata": {
            "bootstrapServers": f"{KAFKA}-kafka-bootstrap.{NAMESPACE}.svc:{KAFKA_PORT}",
            "consumerGroup": needs.group,
            "topic": topic,
            "lagThreshold": str(LAG_PER_PROCESS),
            "offsetResetPolicy": "earliest",
            "sasl": "scram_sha512",
            "tls": "enable",
            # A partition that waits to be healed is behind for a reason that no further process mends.
            "excludePersistentLag": "true",
        },
    }


def _cpu() -> Manifest:
    return {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "75"}}
