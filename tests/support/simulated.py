"""A control plane of Kubernetes with simulated nodes, for tests of many pods and of faults: it costs a few seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import yaml

from support.guardian import guarded
from support.kubernetes import kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).parents[2]
NODES = 4


class Simulated:
    """The cluster, in which things can be broken."""

    def __init__(self, run: Path) -> None:
        self.folder = run
        record = json.loads((run / "cluster.json").read_text())
        # Where its API server listens on loopback, and the administrator's kubeconfig.
        self.api_port = int(record["api_port"])
        self.kubeconfig = Path(record["kubeconfig"])

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have KUBECONFIG name this cluster, with its kubectl on PATH."""
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        with patch.dict(os.environ, {"KUBECONFIG": str(self.kubeconfig), "PATH": path}):
            yield

    def restart_api_server(self) -> None:
        """Stop it and start it again; returns when it answers."""
        _run(self.folder, "stop", "kube-apiserver")
        _run(self.folder, "up")

    def kubeconfig_through(self, port: int, path: Path) -> Path:
        """Write the administrator's kubeconfig with another port of the API server."""
        document = yaml.safe_load(self.kubeconfig.read_text())
        document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path.write_text(yaml.safe_dump(document))
        return path

    def kubeconfig_of(self, namespace: str, account: str, path: Path) -> Path:
        """Write the kubeconfig of a service account."""
        document = yaml.safe_load(self.kubeconfig.read_text())
        token = kubectl("create", "token", account, f"--namespace={namespace}", "--duration=1h").strip()
        document["users"][0]["user"] = {"token": token}
        path.write_text(yaml.safe_dump(document))
        return path


@contextmanager
def started(folder: Path) -> Iterator[Simulated]:
    """Run it."""
    run = (folder / "simulated").resolve()
    guarded()
    try:
        _run(run, "up", "--mode", "control", "--simulate", str(NODES))
        yield Simulated(run)
    finally:
        _run(run, "down")


@contextmanager
def simulated(folder: Path) -> Iterator[Simulated]:
    """Run it as the cluster that kubectl and clients find."""
    with started(folder) as running, running.entered():
        yield running


def _run(run: Path, *arguments: str) -> None:
    """Run a command of the tool; what it starts in the background keeps the log open, never a pipe."""
    log = run.parent / f"{run.name}-{arguments[0]}.log"
    command = [sys.executable, "-m", "tools.kubernetes", "--run", str(run), *arguments]
    with log.open("wb") as out:
        ended = subprocess.run(command, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    assert ended.returncode == 0, log.read_text()
