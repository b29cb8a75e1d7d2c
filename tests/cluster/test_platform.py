"""A control plane, an operator and real pods: workflows run to their right ends, also when operators are killed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_dataplane.kubernetes.workflows.definition import NAME, definition
from support.kubernetes import kubectl
from support.platform import FLYTEFORM, clean_environment, wait_until
from support.s3 import running_s3

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from support.s3 import S3Server

logger = logging.getLogger(__name__)

NODE = "10.88.0.1"  # where pods reach servers of the tests
IMAGE = "localhost/task:test"
NAMESPACE = "flytesnacks-development"
WORKFLOWS = Path(__file__).parents[1] / "e2e" / "workflows"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """Run an S3 server that pods reach."""
    with running_s3(NODE) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _installed() -> Iterator[None]:
    """Install what an installation installs: the definition, and the namespace of a project's domain."""
    kubectl("apply", "-f", "-", given=definition())
    kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    kubectl("create", "namespace", NAMESPACE)
    yield
    kubectl("delete", "flyteworkflows", "--all", f"--namespace={NAMESPACE}", "--wait=false")
    kubectl("delete", "namespace", NAMESPACE)
    kubectl("delete", "crd", NAME)


class Cluster:
    """A control plane in this process, and operators of one cluster beside it."""

    def __init__(self, folder: Path, s3: S3Server, grpc: str, prefix: str) -> None:
        self.folder = folder
        self.s3 = s3
        self.grpc = grpc
        self.prefix = prefix
        self.operators: list[subprocess.Popen[bytes]] = []

    def start_operator(self) -> subprocess.Popen[bytes]:
        """Start another operator; those that there are take turns."""
        number = len(self.operators)
        profile = self.folder / "profile.yaml"
        settings = {"environment": self.s3.environment, "termination-grace-seconds": 1, "cpu": "50m", "memory": "128Mi"}
        profile.write_text(yaml.safe_dump(settings))
        command = [
            sys.executable, "-m", "flyteform_dataplane.kubernetes",
            "--control-plane", self.grpc, "--objects", self.prefix, "--cluster", "one",
            "--state-dir", str(self.folder / f"operator-{number}"), "--kubeconfig", os.environ["KUBECONFIG"],
            "--namespace", "default", "--identity", f"operator-{number}", "--profile", str(profile),
        ]  # fmt: skip
        with (self.folder / f"operator-{number}.log").open("wb") as log:
            environment = {**clean_environment(self.folder), **self.s3.environment}
            self.operators.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        return self.operators[-1]

    def stop(self) -> None:
        """End all operators, and show what they said."""
        for operator in self.operators:
            operator.terminate()
            operator.wait(timeout=60)
        for path in sorted(self.folder.glob("operator-*.log")):
            logger.info("%s said:\n%s", path.name, path.read_text()[-4000:])

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a flyteform command against the control plane."""
        environment = {
            **clean_environment(self.folder),
            "FLYTEFORM_ENDPOINT": self.grpc,
            "FLYTEFORM_INSECURE": "true",
            "FLYTEFORM_IMAGE": IMAGE,
        }
        process = await asyncio.create_subprocess_exec(
            FLYTEFORM, *arguments, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 300)
        return subprocess.CompletedProcess(arguments, process.returncode or 0, out.decode(), err.decode())


@asynccontextmanager
async def started(folder: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """Run a control plane whose objects are in the bucket."""
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    prefix = s3.new_prefix()
    settings = ControlPlaneSettings(folder / "control", grpc_port=0, http_port=0, objects_prefix=prefix)
    control = ControlPlane(settings)
    addresses = await control.start()
    cluster = Cluster(folder, s3, addresses.grpc, prefix)
    try:
        yield cluster
    finally:
        await asyncio.to_thread(cluster.stop)
        await control.stop()


def resources() -> list[dict[str, Any]]:
    """Return the FlyteWorkflow resources."""
    listed = kubectl("get", "flyteworkflows", f"--namespace={NAMESPACE}", "--output=json")
    return list(json.loads(listed)["items"])


def pods(execution: str) -> list[dict[str, Any]]:
    """Return the pods of an execution's attempts."""
    selector = f"--selector=execution-id={execution}"
    return list(json.loads(kubectl("get", "pods", f"--namespace={NAMESPACE}", selector, "--output=json"))["items"])


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return how it stands with a pod's containers."""
    return list(pod["status"].get("containerStatuses", []))


@pytest.mark.timeout(400)
async def test_workflows_run_in_pods(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sub-workflows with data between their tasks, and a failure with the user's own message."""
    async with started(tmp_path, s3, monkeypatch) as cluster:
        cluster.start_operator()
        good = await cluster.run(
            "run", "--remote", "--name", "good", str(WORKFLOWS / "nesting.py"), "outer", "--a", "5"
        )
        assert good.returncode == 0, good.stderr
        assert "132" in good.stdout
        bad = await cluster.run(
            "run", "--remote", "--name", "bad", str(WORKFLOWS / "nesting.py"), "inner", "--a", "5000"
        )
        assert bad.returncode == 1
        assert "5000 is too large" in bad.stderr
        assert all("termination-status" in resource["metadata"]["labels"] for resource in resources())


@pytest.mark.timeout(400)
async def test_killed_operators(tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator killed at any moment is replaced by the next one, and everything ends as if nothing had been."""
    async with started(tmp_path, s3, monkeypatch) as cluster:
        cluster.start_operator()
        running = asyncio.create_task(
            cluster.run("run", "--remote", "--name", "mixed", str(WORKFLOWS / "mixed.py"), "mixed", "--number", "1")
        )
        for pause in (4.0, 9.0, 20.0):
            cluster.start_operator()
            # The moment of the kill is what is random here: nothing is waited for.
            await asyncio.to_thread(threading.Event().wait, pause)
            cluster.operators[-2].kill()
        done = await running
        assert done.returncode == 0, done.stderr
        # An operator that takes over reads results before it looks at pods: one may just be ending.
        wait_until(
            lambda: all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in pods("mixed")),
            seconds=60,
            what="no pod is left running",
        )
        assert all(not container["restartCount"] for pod in pods("mixed") for container in containers(pod))
