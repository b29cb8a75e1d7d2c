"""Every recorded manifest of every shipped stack, as a real API server takes it: with its defaults and its rules."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from support.definitions import definitions
from support.kubernetes import kubectl
from support.recording.stacks import Recordings, clouds, shipped

if TYPE_CHECKING:
    from collections.abc import Iterator

CLOUDS = clouds()
STACKS = [(cloud, stack) for cloud in CLOUDS for stack in shipped(cloud)]
# Groups whose definitions cannot be had as Go modules, or are the clouds' own.
UNKNOWN = (
    "alb.networking.azure.io",
    "barmancloud.cnpg.io",
    "ceph.rook.io",
    "eks.amazonaws.com",
    "gateway.envoyproxy.io",
    "gateway.k8s.aws",
    "karpenter.k8s.aws",
    "karpenter.sh",
    "networking.gke.io",
    "objectbucket.io",
    "snapshot.storage.k8s.io",
)


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """Return the maker of recordings."""
    return Recordings(tmp_path_factory.mktemp("recordings"))


@pytest.fixture(scope="module", autouse=True)
def _definitions() -> Iterator[None]:
    """Install the definitions of others."""
    files = [f"--filename={path}" for path in definitions()]
    kubectl("apply", "--server-side", *files)
    kubectl("wait", "--for=condition=Established", *files, "--timeout=60s")
    yield
    # Waited for: other tests want to see a cluster without them.
    kubectl("delete", *files, "--timeout=120s")


def listed(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return manifests as one."""
    return {"apiVersion": "v1", "kind": "List", "items": manifests}


def taken(manifests: list[dict[str, Any]]) -> str:
    """Have the API server judge manifests without keeping them; return what it says beyond yes."""
    given = json.dumps(listed(manifests))
    command = ("kubectl", "apply", "--server-side", "--dry-run=server", "--force-conflicts", "--filename=-")
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    return done.stderr


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("cloud", "stack"), STACKS)
def test_dry_run(recorder: Recordings, cloud: str, stack: str) -> None:
    """No manifest is refused or warned about, by pod security either."""
    given = recorder.shipped(cloud, stack).check().manifests
    known = [each for each in given if each["apiVersion"].partition("/")[0] not in UNKNOWN]
    own = {name for each in known if (name := each["metadata"].get("namespace"))}
    made = {each["metadata"]["name"]: each for each in known if each["kind"] == "Namespace"}
    spaces = [made.get(name, space(name)) for name in sorted(own | set(made))]
    definition = [each for each in known if each["kind"] == "CustomResourceDefinition"]
    before = [*spaces, *definition]
    if before:
        kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=listed(before))
    try:
        # Some stacks have nothing in their cluster that is not a chart's.
        assert not known or taken(known) == ""
    finally:
        if before:
            # Waited for: the next stack makes its own of the same names.
            kubectl("delete", "-f", "-", "--ignore-not-found", "--timeout=120s", given=listed(before))


def test_refused() -> None:
    """A manifest that breaks pod security is warned about: the check can fail."""
    name = "dry-run-restricted"
    kubectl("apply", "--server-side", "-f", "-", given=space(name))
    try:
        container = {"name": "a", "image": "a:1"}
        pod = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": pod}
        about = {"name": "a", "namespace": name}
        assert "would violate PodSecurity" in taken(
            [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": about, "spec": spec}]
        )
    finally:
        kubectl("delete", "namespace", name)


def space(name: str) -> dict[str, Any]:
    """Return a namespace that refuses what is not restricted."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
