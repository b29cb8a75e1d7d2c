"""What a test cluster is made of: its folder, its addresses and its programs' places. Written down while it runs."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flyteform" / "kubernetes"
_LOOPBACK = "127.0.0.1"
_RECORD = "cluster.json"
_LONGEST = 107 - len("/kubelet/device-plugins/kubelet.sock")  # what is left for the folder of the longest socket


class ClusterError(Exception):
    """The cluster cannot be built, started or found; the message says what to do."""


class Mode(StrEnum):
    """`control`: etcd, API server, controller manager and scheduler. `full`: with a node that runs real pods."""

    CONTROL = "control"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster. A full one lives in a network namespace of its own, whose bridge is the node's address.

    All its addresses exist inside that namespace only, so nothing is ever sent to a private address outside of it.
    """

    run: Path
    mode: Mode
    api_port: int
    etcd_port: int
    peer_port: int
    namespace: str = ""
    node: str = "node-1"
    bridge: str = "pods0"
    bridge_ip: str = "10.88.0.1"
    pod_net: str = "10.88.0.0/16"
    pod_start: str = "10.88.1.0"
    service_net: str = "10.96.0.0/16"
    service_ip: str = "10.96.0.1"

    @property
    def api_ip(self) -> str:
        """Where the API server listens: pods have to reach it too, where there are pods."""
        return self.bridge_ip if self.mode is Mode.FULL else _LOOPBACK

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.run / "admin.kubeconfig"

    @property
    def programs(self) -> Path:
        """The folder with its kubectl."""
        return self.run / "bin"

    def write(self) -> None:
        """Record it in its folder, for `status` and `down`."""
        record = {**asdict(self), "run": str(self.run), "kubeconfig": str(self.kubeconfig)}
        # Whole or not at all: `down` has to find what was started.
        partial = self.run / f"{_RECORD}.partial"
        partial.write_text(json.dumps(record, indent=2) + "\n")
        partial.rename(self.run / _RECORD)

    @classmethod
    def read(cls, run: Path) -> Cluster:
        """Return the cluster that was started in this folder."""
        try:
            record = json.loads((run / _RECORD).read_text())
        except FileNotFoundError as error:
            raise ClusterError(f"no cluster was started in {run}; start one: make cluster ARGS=up") from error
        del record["kubeconfig"]
        return cls(**{**record, "run": run, "mode": Mode(record["mode"])})

    @classmethod
    def new(cls, run: Path, mode: Mode) -> Cluster:
        """Choose free ports; a full cluster has its network to itself and so needs none."""
        if mode is Mode.FULL and len(str(run.resolve())) > _LONGEST:
            raise ClusterError(f"{run.resolve()} is too long for the names of sockets below it: use --run /tmp/cluster")
        api, etcd, peer = _free_ports(3)
        namespace = f"flyteform-{run.name}-{os.getpid()}" if mode is Mode.FULL else ""
        return cls(run.resolve(), mode, api, etcd, peer, namespace)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind((_LOOPBACK, 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
