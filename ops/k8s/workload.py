"""A service's process: its Deployment, the Service before it, and what may take its pods away."""

import json
from typing import Any

from ops.k8s.names import (
    IMAGE,
    KAFKA,
    KAFKA_PORT,
    MIGRATION,
    PARTITIONS,
    PORT,
    SERVICE,
    USER_ID,
    Manifest,
    labels,
    manifest,
)
from ops.k8s.shapes import Needs

_KEYS = "/etc/oms/keys"
_KAFKA_CA = "/etc/oms/kafka"
_DATABASE_CA = "/etc/oms/database"
#: Until every proxy knows that the pod takes no requests any more; the service then drains (OMS_DRAIN_S, 9 s).
_LEAVE_SECONDS = 5
_DRAIN_SECONDS = 10


def workload(needs: Needs) -> list[Manifest]:
    """Everything that runs a service, once its database is migrated."""
    name = needs.name
    chosen = labels(name, SERVICE)
    return [
        manifest(
            "v1", "ServiceAccount", name, labels(name, SERVICE), automountServiceAccountToken=False
        ),
        manifest(
            "v1",
            "Service",
            name,
            chosen,
            spec={
                "selector": chosen,
                "ports": [{"name": "http", "port": PORT, "targetPort": "http"}],
            },
        ),
        _deployment(needs),
        manifest(
            "policy/v1",
            "PodDisruptionBudget",
            name,
            chosen,
            spec={
                "maxUnavailable": 1,
                # A pod that is broken anyway must not keep a node from being drained.
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": chosen},
            },
        ),
    ]


def migration(needs: Needs) -> Manifest:
    """The Job that brings the database to this version's schema; deleted an hour after it is done."""
    name, chosen = f"{needs.name}-migrate", labels(needs.name, MIGRATION)
    container = _container(needs, ["python", "-m", "shared.ledger.migrate", needs.name])
    container["env"] = _database_env(needs)
    container["volumeMounts"] = [_mount("database-ca", _DATABASE_CA)]
    container["resources"] = {
        "requests": {"cpu": "50m", "memory": "64Mi"},
        "limits": {"memory": "128Mi"},
    }
    pod = _pod(needs, container, [_secret_volume("database-ca", f"{needs.database}-ca", "ca.crt")])
    return manifest(
        "batch/v1",
        "Job",
        name,
        chosen,
        spec={
            "backoffLimit": 10,
            "ttlSecondsAfterFinished": 3600,
            "template": {
                "metadata": {"labels": chosen},
                "spec": {**pod, "restartPolicy": "OnFailure"},
            },
        },
    )


def _deployment(needs: Needs) -> Manifest:
    chosen = labels(needs.name, SERVICE)
    container = _container(needs, ["python", "-m", f"services.{needs.name}"])
    container |= {
        "ports": [{"name": "http", "containerPort": PORT}],
        "env": _env(needs),
        "envFrom": [{"configMapRef": {"name": f"{needs.name}-settings"}}],
        "startupProbe": _probe("/livez", periodSeconds=2, failureThreshold=30),
        "livenessProbe": _probe("/livez", periodSeconds=10, timeoutSeconds=5, failureThreshold=3),
        "readinessProbe": _probe("/readyz", periodSeconds=3, timeoutSeconds=3, failureThreshold=2),
        "lifecycle": {"preStop": {"sleep": {"seconds": _LEAVE_SECONDS}}},
        "resources": {
            "requests": {"cpu": needs.shape.cpu, "memory": needs.shape.memory},
            "limits": {"memory": needs.shape.memory_max},
        },
        "volumeMounts": [_mount("keys", _KEYS), _mount("kafka-ca", _KAFKA_CA)],
    }
    volumes = [
        _secret_volume("keys", needs.secret, "keys.json"),
        _secret_volume("kafka-ca", f"{KAFKA}-cluster-ca-cert", "ca.crt"),
    ]
    if needs.has_database:
        container["volumeMounts"].append(_mount("database-ca", _DATABASE_CA))
        volumes.append(_secret_volume("database-ca", f"{needs.database}-ca", "ca.crt"))
    pod = _pod(needs, container, volumes)
    pod["terminationGracePeriodSeconds"] = _LEAVE_SECONDS + _DRAIN_SECONDS + 5
    pod["topologySpreadConstraints"] = [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": chosen},
        }
    ]
    return manifest(
        "apps/v1",
        "Deployment",
        needs.name,
        chosen,
        # No `replicas`: the autoscaler owns the number, and applying a manifest must not reset it.
        spec={
            "selector": {"matchLabels": chosen},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {"metadata": {"labels": chosen}, "spec": pod},
        },
    )


def _pod(needs: Needs, container: Manifest, volumes: list[Manifest]) -> Manifest:
    return {
        "serviceAccountName": needs.name,
        "automountServiceAccountToken": False,
        # Otherwise a Service of the name `oms` would set OMS_PORT, which is a setting of ours.
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER_ID,
            "runAsGroup": USER_ID,
            "fsGroup": USER_ID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }


def _container(needs: Needs, command: list[str]) -> Manifest:
    return {
        "name": needs.name,
        "image": IMAGE,
        "command": command,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _env(needs: Needs) -> list[Manifest]:
    """The settings that follow from where things are; those of an installation come from the ConfigMap."""
    plain = {
        "HOST": "0.0.0.0",  # noqa: S104 - the pod's own address; the network policy says who reaches it
        "PORT": str(PORT),
        "KAFKA": f"{KAFKA}-kafka-bootstrap:{KAFKA_PORT}",
        "KAFKA_USERNAME": needs.name,
        "KAFKA_CA": f"{_KAFKA_CA}/ca.crt",
        "KEYS_FILE": f"{_KEYS}/keys.json",
        "PARTITIONS": str(PARTITIONS),
    }
    secret = dict(needs.shape.secrets)
    if needs.peers:
        peers = {peer: f"http://{peer}:{PORT}" for peer in needs.peers}
        plain["PEERS"] = json.dumps(peers, separators=(",", ":"))
        secret = {"PEER_KEY": "peer-key", **secret}
    return [
        *(_database_env(needs) if needs.has_database else ()),
        *({"name": f"OMS_{k}", "value": v} for k, v in plain.items()),
        _from_secret("OMS_KAFKA_PASSWORD", needs.name, "password"),
        *(_from_secret(f"OMS_{k}", needs.secret, v) for k, v in secret.items()),
    ]


def _database_env(needs: Needs) -> list[Manifest]:
    """The operator keeps the URI in `<cluster>-app`; libpq reads what it must verify from its own variables."""
    return [
        _from_secret("OMS_DATABASE", f"{needs.database}-app", "uri"),
        {"name": "PGSSLMODE", "value": "verify-full"},
        {"name": "PGSSLROOTCERT", "value": f"{_DATABASE_CA}/ca.crt"},
    ]


def _from_secret(name: str, secret: str, key: str) -> Manifest:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _mount(name: str, path: str) -> Manifest:
    return {"name": name, "mountPath": path, "readOnly": True}


def _secret_volume(name: str, secret: str, key: str) -> Manifest:
    """Only the one file, readable by the group that `fsGroup` gives to the process."""
    return {
        "name": name,
        "secret": {
            "secretName": secret,
            "defaultMode": 0o440,
            "items": [{"key": key, "path": key}],
        },
    }


def _probe(path: str, **times: Any) -> Manifest:
    return {"httpGet": {"path": path, "port": "http"}, **times}
