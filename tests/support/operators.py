"""Operators as processes, against a control plane that only leases and an API server whose nodes are simulated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from flyteform_dataplane.kubernetes.workflows.definition import NAME, definition
from support.closures import Flow
from support.kubernetes import kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flyteform.proto.flyteform.v1.link_pb2 import Lease

NAMESPACE = "p-d"


class Operators:
    """The operators of one cluster, whose objects are files below a folder, or elsewhere."""

    def __init__(
        self, folder: Path, control_plane: str, *, kubeconfig: Path | None = None, objects: Path | None = None
    ) -> None:
        self.folder = folder
        self.objects = f"file://{objects or folder / 'objects'}"
        self._control_plane = control_plane
        self._kubeconfig = kubeconfig or Path(os.environ["KUBECONFIG"])
        self._running: list[subprocess.Popen[bytes]] = []
        self._started = 0

    @property
    def running(self) -> Sequence[subprocess.Popen[bytes]]:
        """Those that were started and not stopped."""
        return self._running

    def start(self, *arguments: str, identity: str = "") -> subprocess.Popen[bytes]:
        """Start another one; it has a share of the work as soon as the others see it."""
        self._started += 1
        profile = self.folder / "profile.yaml"
        profile.write_text(yaml.safe_dump({"termination-grace-seconds": 1, "cpu": "10m", "memory": "16Mi"}))
        command = [
            sys.executable, "-m", "flyteform_dataplane.kubernetes",
            "--control-plane", self._control_plane, "--objects", self.objects, "--cluster", "one",
            "--state-dir", str(self.folder / f"operator-{self._started}"), "--kubeconfig", str(self._kubeconfig),
            "--namespace", "default", "--identity", identity or f"operator-{self._started}",
            "--profile", str(profile), *arguments,
        ]  # fmt: skip
        with self.log(self._started).open("wb") as log:
            self._running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        return self._running[-1]

    def log(self, number: int) -> Path:
        """Return where an operator's messages are."""
        return self.folder / f"operator-{number}.log"

    def kill(self, operator: subprocess.Popen[bytes]) -> None:
        """End one without a word."""
        operator.kill()
        operator.wait()
        self._running.remove(operator)

    def stop(self) -> None:
        """End all of them as Kubernetes does."""
        for operator in self._running:
            operator.send_signal(signal.SIGTERM)
        for operator in self._running:
            operator.wait(timeout=60)
        self._running.clear()

    def said(self) -> Iterator[str]:
        """Return what each has said last."""
        for number in range(1, self._started + 1):
            yield f"operator {number}: {self.log(number).read_text()[-3000:]}"

    def lease(self, flow: Flow, name: str) -> Lease:
        """Return a workflow as an execution whose files are in the operators' store."""
        lease = flow.lease(name)
        lease.metadata_prefix = f"{self.objects}/metadata/propeller/p-d-{name}"
        lease.raw_output_prefix = f"{self.objects}/raw/p/d/{name}"
        return lease


def install() -> None:
    """Install what an installation installs: the definition, and the namespace of the executions."""
    kubectl("apply", "-f", "-", given=definition())
    kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    kubectl("create", "namespace", NAMESPACE)


def uninstall() -> None:
    """Remove it, and whatever is left of executions."""
    kubectl("delete", "lease", "flyteform-operator", "--ignore-not-found")
    patch = '--patch={"metadata":{"finalizers":null}}'
    for name in kubectl("get", "flyteworkflows", f"--namespace={NAMESPACE}", "--output=name").split():
        kubectl("patch", name, f"--namespace={NAMESPACE}", "--type=merge", patch)
    kubectl("delete", "flyteworkflows", "--all", f"--namespace={NAMESPACE}", "--wait=false")
    kubectl("delete", "pods", "--all", f"--namespace={NAMESPACE}", "--wait=false", "--grace-period=0", "--force")
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    kubectl("delete", "crd", NAME)


def chain(length: int) -> Flow:
    """Return tasks one after the other that give nothing to each other."""
    flow = Flow(name="chain")
    for number in range(length):
        flow.task(f"n{number}", after=[f"n{number - 1}"] if number else [], outputs=())
    return flow


def wide(width: int) -> Flow:
    """Return tasks beside each other."""
    flow = Flow(name="wide")
    for number in range(width):
        flow.task(f"n{number}", outputs=())
    return flow


def lasting(operators: Operators, name: str) -> Lease:
    """Return an execution whose pods would run for an hour."""
    lease = operators.lease(wide(2), name)
    lease.spec.annotations.values["simulated/seconds"] = "3600s"
    return lease
