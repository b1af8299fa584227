"""A service's database: a CloudNativePG cluster of its own, and its backups.

A cluster per service, not one for all: PostgreSQL restores a point in time, upgrades and fails over as a whole cluster, and
a service that owns its data must be able to do each of these alone. The operator then also makes the one role, the one
database and the secret with its address, so that no service can hold a key to another's. It costs more pods.
"""

from ops.k8s.names import DATABASE, Manifest, labels, manifest
from ops.k8s.shapes import Needs


def database(needs: Needs) -> list[Manifest]:
    """The cluster, and the backup that is taken of it every night."""
    return [_cluster(needs), _backup(needs)]


def _cluster(needs: Needs) -> Manifest:
    owner = f"oms_{needs.name}"
    return manifest(
        "postgresql.cnpg.io/v1",
        "Cluster",
        needs.database,
        labels(needs.name, DATABASE),
        spec={
            "instances": 3,
            "imageName": "ghcr.io/cloudnative-pg/postgresql:18.3-system-trixie",
            "primaryUpdateStrategy": "unsupervised",
            "bootstrap": {
                "initdb": {"database": owner, "owner": owner, "dataChecksums": True},
            },
            "enableSuperuserAccess": False,
            # A commit is answered when one standby has it: a failover loses no event that was published.
            "postgresql": {
                "synchronous": {"method": "any", "number": 1, "dataDurability": "required"},
                "parameters": {"max_connections": "200", "shared_buffers": "512MB"},
            },
            "storage": {"size": "50Gi"},
            "walStorage": {"size": "10Gi"},
            "resources": {
                "requests": {"cpu": "500m", "memory": "1Gi"},
                "limits": {"memory": "2Gi"},
            },
            "affinity": {"enablePodAntiAffinity": True, "topologyKey": "kubernetes.io/hostname"},
        },
    )


def _backup(needs: Needs) -> Manifest:
    return manifest(
        "postgresql.cnpg.io/v1",
        "ScheduledBackup",
        needs.database,
        labels(needs.name, DATABASE),
        spec={
            "schedule": "0 0 2 * * *",  # with seconds first: every night at two
            "immediate": True,
            "backupOwnerReference": "self",
            "cluster": {"name": needs.database},
        },
    )
