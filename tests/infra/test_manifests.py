"""Every recorded manifest of Kubernetes, strictly by Kubernetes' own schemas: unknown fields are refused."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import kubernetes_validate
import pytest
import yaml

from support.platform import wait_until
from support.recording.stacks import ROOT, clouds, shipped

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

VERSIONS = ("1.32", "1.37")  # the oldest that we support, and the newest whose schemas there are
CLOUDS = clouds()
STACKS = [(cloud, stack) for cloud in CLOUDS for stack in shipped(cloud)]
# Its definitions are Kubernetes' own, and come apart from it.
GATEWAYS = "gateway.networking.k8s.io"


def is_own(version: str) -> bool:
    """Tell whether a version is of a group of Kubernetes itself: the definitions of others the API server checks."""
    group = version.partition("/")[0]
    return "." not in group or (group.endswith(".k8s.io") and group != GATEWAYS)


@pytest.mark.parametrize(("cloud", "stack"), STACKS)
def test_manifests(recordings: Recordings, cloud: str, stack: str) -> None:
    """No manifest of Kubernetes' own kinds has an unknown field or a wrong type, in the oldest and newest version."""
    checked = 0
    for manifest in recordings.shipped(cloud, stack).manifests:
        if not is_own(manifest["apiVersion"]):
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)
        checked += 1
    assert checked or stack.endswith(("base", "platform"))


@pytest.mark.parametrize(("cloud", "stack"), STACKS)
def test_whoever_is_paged(recordings: Recordings, cloud: str, stack: str) -> None:
    """Deployments are asked by HTTP whether they live, end before they are killed, and are what others name."""
    graph = recordings.shipped(cloud, stack)
    ranks = {each.at("metadata.name") for each in graph.of("PriorityClass")}
    for each in graph.of("Deployment"):
        pod = each.at("spec.template.spec")
        if each.at("metadata.labels", {}).get("app.kubernetes.io/part-of") != "flyteform":
            continue
        [main] = pod["containers"]
        # A port takes calls also of a process that is stuck.
        assert all("httpGet" in main[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")), each.name
        drained = main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert drained + 15 <= pod["terminationGracePeriodSeconds"]
        # Whoever is called by a Service goes on for as long as calls may come.
        selected = [one.at("spec.selector") for one in graph.of("Service") if one.at("spec.selector")]
        labels = each.at("spec.template.metadata.labels")
        assert bool(drained) is any(one.items() <= labels.items() for one in selected)
        assert pod["priorityClassName"] in ranks
        budgets = [one.at("spec.selector.matchLabels") for one in graph.of("PodDisruptionBudget")]
        assert len([one for one in budgets if one.items() <= labels.items()]) == 1
    for each in graph.of("HorizontalPodAutoscaler"):
        scaled = graph.one("Deployment", each.at("spec.scaleTargetRef.name")).at("spec")
        assert "replicas" not in scaled
        [main] = scaled["template"]["spec"]["containers"]
        [metric] = each.at("spec.metrics")
        assert metric["containerResource"]["container"] == main["name"]
        assert main["resources"]["requests"]["cpu"] in {"250m", "500m", "1"}


def test_tokens_of_databases(recordings: Recordings, tmp_path: Path) -> None:
    """What fetches tokens asks again soon where it got none, later where it did, and ends when it is told to."""
    release = recordings.shipped("gcp", "prod-controlplane").one("Job").at("spec.template.spec.initContainers")
    script = next(each for each in release if each["name"] == "token-admin")["command"][2]
    # The second pause is over when the test says so.
    (tmp_path / "sleep").write_text('#!/bin/sh\necho "$1" >> slept\n[ "$1" = 5 ] || exec /bin/sleep 600\n')
    (tmp_path / "token").write_text("#!/bin/sh\n[ -e tried ] && echo secret && exit 0\ntouch tried\nexit 1\n")
    for name in ("sleep", "token"):
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOKEN_FILE": str(tmp_path / "file"), "REFRESH_SECONDS": "700"}
    command = ["/bin/sh", "-c", script, "token", str(tmp_path / "token")]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, process_group=0) as process:
        try:
            wait_until(lambda: _read(tmp_path / "slept").split() == ["5", "700"], seconds=60, what="two tries")
            assert (tmp_path / "file").read_text() == "secret\n"
            assert (tmp_path / "file").stat().st_mode & 0o077 == 0
            process.terminate()
            assert process.wait(60) == 0
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_is_strict() -> None:
    """A misspelled field is refused: the check can fail."""
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dada": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[0], strict=True)


def test_stack_files_are_documented() -> None:
    """Every stack's file says in its first line what it is for."""
    for cloud, stack in STACKS:
        text = (Path(ROOT) / "stacks" / cloud / f"Pulumi.{stack}.yaml").read_text()
        assert text.startswith("# "), f"{cloud}/{stack}"
        assert yaml.safe_load(text)["config"]
