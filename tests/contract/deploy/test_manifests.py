"""What a deployment promises: hardened pods, only the needed traffic, a topic and a database for whoever owns one."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from ops.contracts.openapi import settings_of
from ops.k8s.__main__ import drift
from ops.k8s.__main__ import main as k8s
from ops.k8s.names import PARTITIONS, PORT
from ops.k8s.shapes import SHAPES, Needs, all_needs
from ops.reconcile.tables import table_of
from ops.system import SERVICES
from ops.system.layout import WITHOUT_DATABASE
from services.insights.topics import app_id, changelog
from shared.events import topics
from shared.events.catalogue import sequenced_by
from shared.service import Settings
from shared.service.security import read_keys_file
from tests.contract.deploy.conftest import Built
from tests.contract.deploy.tools import ROOT

WITH_DATABASE = SERVICES.keys() - WITHOUT_DATABASE
#: Topics that a service writes without positions of its own.
UNSEQUENCED = {"insights": {"oms.insights.events"}}
#: What stands in a secret, where it is not just any text.
UNTOLD = {
    "OMS_SHOPIFY_SECRETS": '["abc"]',
    "OMS_TRACKING_KEYS": json.dumps({"1": "x" * 32}),
}


def test_the_generated_manifests_are_those_of_the_code() -> None:
    assert drift() == []


def test_every_service_of_the_system_is_deployed(deployed: Built) -> None:
    assert SHAPES.keys() == SERVICES.keys()
    names = {d["metadata"]["name"] for d in deployed.all("Deployment")}
    assert names - {"payments", "sink"} == SERVICES.keys()
    assert {j["metadata"]["name"] for j in deployed.all("Job")} == {
        f"{s}-migrate" for s in WITH_DATABASE
    }


def test_no_pod_may_more_than_it_must(deployed: Built) -> None:
    for name, template in deployed.pods().items():
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False, name
            assert security["readOnlyRootFilesystem"] is True, name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert container["resources"]["limits"]["memory"], name
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        for volume in pod["volumes"]:
            assert volume.keys() <= {"name", "secret", "emptyDir"}, name


def test_every_process_is_probed_and_stops_after_its_drain(deployed: Built) -> None:
    for deployment in deployed.all("Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["startupProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        if deployment["metadata"]["name"] in SERVICES:
            leaving = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            drain_s = Settings.model_fields["drain_s"].default
            assert pod["terminationGracePeriodSeconds"] > leaving + drain_s


def test_every_setting_is_one_that_the_service_reads(deployed: Built) -> None:
    configs = {c["metadata"]["name"]: c["data"] for c in deployed.all("ConfigMap")}
    for name in SERVICES:
        pod = deployed.one("Deployment", name)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        given = {e["name"]: e.get("value") for e in container["env"]}
        for source in container["envFrom"]:
            given |= configs[source["configMapRef"]["name"]]
        ours = {k for k in given if k.startswith("OMS_")}
        settings = settings_of(importlib.import_module(f"services.{name}.__main__"))
        known = {f"OMS_{f.upper()}" for f in settings.model_fields}
        assert ours <= known, name
        assert given["OMS_PARTITIONS"] == str(PARTITIONS)
        assert int(given["OMS_PORT"]) == PORT
        # With the secrets filled in, the service would start.
        values = {k: v or UNTOLD.get(k, "x" * 32) for k, v in given.items() if k in ours}
        loaded = {
            k.removeprefix("OMS_").lower(): json.loads(v) if v[:1] in "[{" else v
            for k, v in values.items()
        }
        settings(**loaded)


def test_no_manifest_holds_a_secret(deployed: Built) -> None:
    assert [r for r in deployed.resources if r["kind"] == "Secret"] == []
    for name, template in deployed.pods().items():
        for variable in template["spec"]["containers"][0].get("env", []):
            if re.search(r"KEY$|PASSWORD|DATABASE$", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"], f"{name}: {variable['name']}"


def test_every_topic_of_the_catalogue_is_there_and_no_other(deployed: Built) -> None:
    made = {t["metadata"]["name"]: t["spec"] for t in deployed.all("KafkaTopic")}
    assert made.keys() == {t.name for t in topics()}
    assert {t["partitions"] for t in made.values()} == {PARTITIONS}
    replicas = 3 if deployed.overlay == "production" else 1
    assert {t["replicas"] for t in made.values()} == {replicas}
    assert all(t["config"]["min.insync.replicas"] <= replicas for t in made.values())


def test_a_user_may_do_exactly_what_its_service_does(production: Built) -> None:
    for needs in all_needs():
        acls = production.one("KafkaUser", needs.name)["spec"]["authorization"]["acls"]
        allowed = {
            (a["resource"]["type"], a["resource"]["name"], operation)
            for a in acls
            for operation in a["operations"]
            if operation != "Describe"
        }
        reads = {("topic", t, "Read") for t in needs.consumes}
        writes = {
            ("topic", t.name, "Write")
            for t in topics()
            if sequenced_by(t.name) == needs.name or t.name in UNSEQUENCED.get(needs.name, ())
        }
        own = {
            ("topic", needs.group, operation)
            for operation in ("Create", "Delete", "Read", "Write")
            if needs.name in WITHOUT_DATABASE
        }
        assert allowed == reads | writes | own | {("group", needs.group, "Read")}
    # Nobody writes to a topic that another service sequences, and every topic has a writer.
    writers: dict[str, list[str]] = {}
    for user in production.all("KafkaUser"):
        for acl in user["spec"]["authorization"]["acls"]:
            if "Write" in acl["operations"]:
                writers.setdefault(acl["resource"]["name"], []).append(user["metadata"]["name"])
    assert {t.name for t in topics()} - writers.keys() == {
        "oms.order.commands",
        "oms.returns.commands",
    }


def test_who_comes_from_outside_may_do_what_the_catalogue_says_of_them(production: Built) -> None:
    outside = {
        "sales-channels": {("oms.channel.orders", "Write")},
        "warehouse": {
            ("oms.fulfillment.commands", "Write"),
            ("oms.inventory.commands", "Write"),
            ("oms.wms.answers", "Write"),
            ("oms.wms.requests", "Read"),
            ("warehouse", "Read"),
        },
        "accounting": {("oms.erp.documents", "Read"), ("accounting", "Read")},
    }
    for name, may in outside.items():
        acls = production.one("KafkaUser", name)["spec"]["authorization"]["acls"]
        told = {(a["resource"]["name"], o) for a in acls for o in a["operations"]}
        assert {(resource, o) for resource, o in told if o != "Describe"} == may


def test_the_insights_own_topics_are_called_as_their_user_may_call_them() -> None:
    (needs,) = [n for n in all_needs() if n.name == "insights"]
    assert app_id(7).startswith(needs.group)
    assert changelog(7).startswith(needs.group)


def test_everything_is_denied_that_no_policy_allows(production: Built) -> None:
    deny = production.one("NetworkPolicy", "default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reaches_exactly_what_it_uses(production: Built, name: str) -> None:
    (needs,) = [n for n in all_needs() if n.name == name]
    policy = production.one("NetworkPolicy", name)["spec"]
    reached = {
        (who, port["port"])
        for rule in policy["egress"]
        for who in map(_who, rule["to"])
        for port in rule["ports"]
    }
    assert reached == {
        ("kube-dns", 53),
        ("kafka oms", 9093),
        *({(f"database {name}-db", 5432)} if name in WITH_DATABASE else ()),
        *((f"{s} service", PORT) for s in _healed_from(needs)),
        *(("internet", p) for p in needs.shape.internet),
    }
    asked = {
        (_who(peer), port["port"])
        for rule in policy["ingress"]
        for peer in rule["from"]
        for port in rule["ports"]
    }
    healing = {n.name for n in all_needs() if name in _healed_from(n)}
    assert asked == {("edge", PORT), *((f"{s} service", PORT) for s in healing)}


def _healed_from(needs: Needs) -> set[str]:
    """Whose feeds a service reads."""
    return {s for t in needs.consumes if (s := sequenced_by(t))}


def test_who_has_no_database_is_given_none(deployed: Built) -> None:
    for name in WITHOUT_DATABASE:
        made = {r["metadata"]["name"] for r in deployed.resources}
        assert not made & {f"{name}-db", f"{name}-migrate"}
        pod = deployed.one("Deployment", name)["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert not {"OMS_DATABASE", "PGSSLMODE"} & {e["name"] for e in container["env"]}
        assert {v["name"] for v in pod["volumes"]} == {"keys", "kafka-ca"}


def test_the_insights_changelog_has_as_many_copies_as_other_topics(deployed: Built) -> None:
    (settings,) = [
        c["data"]
        for c in deployed.all("ConfigMap")
        if c["metadata"]["name"].startswith("insights-settings")
    ]
    replicas = {t["spec"]["replicas"] for t in deployed.all("KafkaTopic")}
    assert {int(settings["OMS_CHANGELOG_REPLICAS"])} == replicas


def test_a_database_hears_only_its_own_service(production: Built) -> None:
    for name in WITH_DATABASE:
        policy = production.one("NetworkPolicy", f"{name}-db")["spec"]
        heard = {
            _who(peer)
            for rule in policy["ingress"]
            if {"protocol": "TCP", "port": 5432} in rule["ports"]
            for peer in rule["from"]
        }
        assert heard == {f"{name} service", f"{name} migration", f"database {name}-db"}
        pod = production.one("Deployment", name)["spec"]["template"]["spec"]
        used = {
            e["valueFrom"]["secretKeyRef"]["name"]
            for e in pod["containers"][0]["env"]
            if e["name"] == "OMS_DATABASE"
        }
        assert used == {f"{name}-db-app"}


def _who(peer: dict[str, Any]) -> str:
    if "ipBlock" in peer:
        assert peer["ipBlock"]["except"]
        return "internet"
    if "podSelector" not in peer:
        assert peer["namespaceSelector"] == {"matchLabels": {"oms/edge": "true"}}
        return "edge"
    labels = peer["podSelector"]["matchLabels"]
    if "strimzi.io/cluster" in labels:
        return f"kafka {labels['strimzi.io/cluster']}"
    if "cnpg.io/cluster" in labels:
        return f"database {labels['cnpg.io/cluster']}"
    if "k8s-app" in labels:
        return str(labels["k8s-app"])
    return f"{labels['app.kubernetes.io/name']} {labels['app.kubernetes.io/component']}"


def test_policies_and_services_select_pods_that_exist(deployed: Built) -> None:
    pods = [t["metadata"]["labels"] for t in deployed.pods().values()]
    for kind, path in (("Service", "selector"), ("NetworkPolicy", "podSelector")):
        for resource in deployed.all(kind):
            chosen = resource["spec"][path]
            chosen = chosen.get("matchLabels", {}) if kind == "NetworkPolicy" else chosen
            if any("cnpg.io" in k or "strimzi.io" in k for k in chosen):
                continue  # the operators make those
            found = [p for p in pods if chosen.items() <= p.items()]
            assert found, f"{kind} {resource['metadata']['name']} selects no pod"


def test_production_survives_the_loss_of_a_node(production: Built) -> None:
    for name in SERVICES:
        scaled = production.one("ScaledObject", name)["spec"]
        assert scaled["minReplicaCount"] >= 2
        assert scaled["maxReplicaCount"] <= PARTITIONS
        assert production.one("PodDisruptionBudget", name)["spec"]["maxUnavailable"] == 1
    for name in WITH_DATABASE:
        database = production.one("Cluster", f"{name}-db")["spec"]
        assert database["instances"] == 3
        assert database["postgresql"]["synchronous"]["number"] == 1
        assert database["backup"]["barmanObjectStore"]["destinationPath"].startswith("s3://")
        backup = production.one("ScheduledBackup", f"{name}-db")["spec"]
        assert backup["cluster"]["name"] == f"{name}-db"


def test_the_autoscaler_watches_what_the_service_reads(production: Built) -> None:
    for needs in all_needs():
        triggers = production.one("ScaledObject", needs.name)["spec"]["triggers"]
        if needs.shape.group_per_version:
            assert [t["type"] for t in triggers] == ["cpu"]
            continue
        # A topic that only some installations read would seem unread for ever in the others.
        always = set(table_of(needs.name).topics)
        assert {t["metadata"]["topic"] for t in triggers} == always & set(needs.consumes)
        assert {t["metadata"]["consumerGroup"] for t in triggers} == {f"oms-{needs.name}"}


def test_secrets_of_a_new_installation_fit_their_services(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert k8s(["--keys", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(SERVICES)
    peer_keys = set()
    for needs in all_needs():
        folder = tmp_path / needs.secret
        assert {p.name for p in folder.iterdir()} == {
            "keys.json",
            *({"peer-key"} if needs.peers else ()),
            *needs.shape.secrets.values(),
        }
        assert read_keys_file(folder / "keys.json")
        if needs.peers:
            peer_keys.add((folder / "peer-key").read_text())
        assert all(p.stat().st_mode & 0o077 == 0 for p in folder.iterdir())
    assert len(peer_keys) == 1
    webhook = tmp_path / "notifications-secrets" / "webhook-key"
    before = webhook.read_text()
    signs, reads = (
        (tmp_path / f"{name}-secrets" / "tracking-keys").read_text()
        for name in ("notifications", "views")
    )
    assert signs == reads != ""
    assert k8s(["--keys", str(tmp_path)]) == 0
    assert webhook.read_text() == before
    assert k8s(["--nonsense"]) == 2


def test_the_image_is_pinned_and_belongs_to_nobody_with_rights() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases
    for base in bases:
        assert re.fullmatch(r"[a-z./-]+:\d+\.\d+\.\d+[a-z0-9.-]*", base), f"{base} is not pinned"
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] == "10001:10001"
    assert "--require-hashes" in text
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), f"{source} is not there"
