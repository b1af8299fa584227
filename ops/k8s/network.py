"""Who may talk to whom: a policy for every service, its migration and its database. What no policy allows is denied."""

from ops.k8s.names import (
    KAFKA,
    KAFKA_PORT,
    MIGRATION,
    PORT,
    POSTGRES_PORT,
    SERVICE,
    Manifest,
    labels,
    manifest,
)
from ops.k8s.shapes import Needs

#: Namespaces with this label hold the ingress controller, or the metrics collector: they may call the HTTP APIs.
EDGE = {"oms/edge": "true"}
_DATABASE_OPERATOR = {"kubernetes.io/metadata.name": "cnpg-system"}
_STATUS_PORT = 8000
_PRIVATE = ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]


def policies(needs: Needs, everyone: tuple[Needs, ...]) -> list[Manifest]:
    """The policies around one service."""
    of_database = [_migration(needs), _database(needs)] if needs.has_database else []
    return [_service(needs, everyone), *of_database]


def _service(needs: Needs, everyone: tuple[Needs, ...]) -> Manifest:
    askers = [_pods(other.name, SERVICE) for other in everyone if needs.name in other.peers]
    egress = [
        dns(),
        _to([{"podSelector": {"matchLabels": {"strimzi.io/cluster": KAFKA}}}], KAFKA_PORT),
    ]
    if needs.has_database:
        egress.append(_to([_postgres(needs)], POSTGRES_PORT))
    if needs.peers:
        egress.append(_to([_pods(peer, SERVICE) for peer in needs.peers], PORT))
    if needs.shape.internet:
        # Nothing inside: whoever may register a webhook must not reach what else runs here.
        world = [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": _PRIVATE}},
            {"ipBlock": {"cidr": "::/0", "except": ["fc00::/7", "fe80::/10"]}},
        ]
        egress.append(_to(world, *needs.shape.internet))
    return _policy(
        needs.name,
        labels(needs.name, SERVICE),
        ingress=[_from([*askers, {"namespaceSelector": {"matchLabels": EDGE}}], PORT)],
        egress=egress,
    )


def _migration(needs: Needs) -> Manifest:
    return _policy(
        f"{needs.name}-migrate",
        labels(needs.name, MIGRATION),
        ingress=[],
        egress=[dns(), _to([_postgres(needs)], POSTGRES_PORT)],
    )


def _database(needs: Needs) -> Manifest:
    """Its service, its migration, its replicas and its operator; outwards the Kubernetes API and the object store."""
    users = [_pods(needs.name, SERVICE), _pods(needs.name, MIGRATION)]
    replicas, operator = (
        _postgres(needs),
        {"namespaceSelector": {"matchLabels": _DATABASE_OPERATOR}},
    )
    return _policy(
        needs.database,
        {"cnpg.io/cluster": needs.database},
        ingress=[
            _from([*users, replicas], POSTGRES_PORT),
            _from([replicas, operator], _STATUS_PORT),
        ],
        egress=[
            dns(),
            _to([replicas], POSTGRES_PORT, _STATUS_PORT),
            _to([{"ipBlock": {"cidr": "0.0.0.0/0"}}], 443, 6443),
        ],
    )


def dns() -> Manifest:
    """Names, from the cluster's own server."""
    server = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    return {
        "to": [server],
        "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")],
    }


def _policy(
    name: str, pods: dict[str, str], *, ingress: list[Manifest], egress: list[Manifest]
) -> Manifest:
    return manifest(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        name,
        spec={
            "podSelector": {"matchLabels": pods},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    )


def _pods(name: str, component: str) -> Manifest:
    return {"podSelector": {"matchLabels": labels(name, component)}}


def _postgres(needs: Needs) -> Manifest:
    return {"podSelector": {"matchLabels": {"cnpg.io/cluster": needs.database}}}


def _from(peers: list[Manifest], *ports: int) -> Manifest:
    return {"from": peers, "ports": _ports(*ports)}


def _to(peers: list[Manifest], *ports: int) -> Manifest:
    return {"to": peers, "ports": _ports(*ports)}


def _ports(*ports: int) -> list[Manifest]:
    return [{"protocol": "TCP", "port": port} for port in ports]
