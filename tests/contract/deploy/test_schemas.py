"""Every resource against the schema of those who will read it: Kubernetes itself, Strimzi, CloudNativePG, KEDA."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
from jsonschema import ValidationError

from tests.contract.deploy.conftest import Built
from tests.contract.deploy.tools import Validators, go_crds, strimzi_crds

#: The oldest that the manifests ask for: `preStop.sleep` is on by default since 1.30, stable in 1.34.
KUBERNETES = "1.34"
STRIMZI, OPERATORS = "kafka.strimzi.io/", ("postgresql.cnpg.io/", "keda.sh/")


def test_kubernetes_own_resources_are_valid(deployed: Built) -> None:
    core = [r for r in deployed.resources if not r["apiVersion"].startswith((STRIMZI, *OPERATORS))]
    for resource in core:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    assert {r["kind"] for r in core} >= {"Deployment", "Job", "NetworkPolicy", "Service"}


def test_strimzi_s_resources_are_valid(deployed: Built) -> None:
    kinds = _validate(deployed, strimzi_crds(), STRIMZI)
    assert kinds == {"Kafka", "KafkaNodePool", "KafkaTopic", "KafkaUser"}


def test_cloudnativepg_s_and_keda_s_resources_are_valid(deployed: Built) -> None:
    kinds = _validate(deployed, go_crds(), *OPERATORS)
    more = {"ScaledObject", "ScheduledBackup", "TriggerAuthentication"}
    assert kinds == {"Cluster"} | (more if deployed.overlay == "production" else set())


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("Cluster", {"instances": "three"}),
        ("Cluster", {"instanzes": 3}),
        ("ScaledObject", {"triggers": []}),
        ("ScheduledBackup", {"schedule": None}),
    ],
)
def test_the_schemas_refuse_what_is_wrong(
    production: Built, kind: str, change: dict[str, Any]
) -> None:
    resource = production.all(kind)[0]
    wrong = {**resource, "spec": {**resource["spec"], **change}}
    with pytest.raises(ValidationError):
        go_crds()[wrong["apiVersion"], kind].validate(wrong)


def test_strimzi_s_schema_refuses_what_is_wrong(production: Built) -> None:
    topic = production.all("KafkaTopic")[0]
    wrong = {**topic, "spec": {**topic["spec"], "partition": 3}}
    with pytest.raises(ValidationError, match="partition"):
        strimzi_crds()[wrong["apiVersion"], "KafkaTopic"].validate(wrong)


def _validate(deployed: Built, schemas: Validators, *groups: str) -> set[str]:
    mine = [r for r in deployed.resources if r["apiVersion"].startswith(groups)]
    for resource in mine:
        schemas[resource["apiVersion"], resource["kind"]].validate(resource)
    return {r["kind"] for r in mine}
