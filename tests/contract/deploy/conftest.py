"""What is deployed, as kustomize builds it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.deploy.tools import ROOT, built

OVERLAYS = ("local", "production")


class Built:
    """The resources of an overlay."""

    def __init__(self, overlay: str) -> None:
        self.overlay = overlay
        self.resources = built(ROOT / "deploy" / "k8s" / "overlays" / overlay)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """All of a kind; there is at least one."""
        found = [r for r in self.resources if r["kind"] == kind]
        assert found, f"no {kind} in {self.overlay}"
        return found

    def one(self, kind: str, name: str) -> dict[str, Any]:
        """One by its name."""
        (found,) = [r for r in self.all(kind) if r["metadata"]["name"] == name]
        return found

    def pods(self) -> dict[str, dict[str, Any]]:
        """Every pod template of ours, by the name of what makes it."""
        makers = [*self.all("Deployment"), *self.all("Job")]
        return {m["metadata"]["name"]: m["spec"]["template"] for m in makers}


@pytest.fixture(scope="session", params=OVERLAYS)
def deployed(request: pytest.FixtureRequest) -> Built:
    return Built(request.param)


@pytest.fixture(scope="session")
def production() -> Built:
    return Built("production")
