"""Names, ports and labels that the manifests share."""

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]

NAMESPACE = "oms"
IMAGE = "oms"
PORT = 8080
#: Of every topic. It bounds how many processes of a service can share the work, and a key's partition depends on it:
#: choose before the first order.
PARTITIONS = 12
#: Of every topic: acknowledged means on two of them.
REPLICAS = 3
KAFKA = "oms"
KAFKA_PORT = 9093
POSTGRES_PORT = 5432
USER_ID = 10001

SERVICE, MIGRATION, DATABASE = "service", "migration", "database"


def labels(name: str, component: str) -> dict[str, str]:
    """The labels by which pods are selected."""
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "oms",
        "app.kubernetes.io/component": component,
    }


def manifest(
    api: str, kind: str, name: str, labels: Mapping[str, str] | None = None, **body: Any
) -> Manifest:
    """A resource in the namespace of the overlay."""
    meta: Manifest = {"name": name}
    if labels:
        meta["labels"] = dict(labels)
    return {"apiVersion": api, "kind": kind, "metadata": meta, **body}
