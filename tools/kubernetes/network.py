"""The network of a cluster with a node: a namespace of its own, and in it a bridge that pods and servers share."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tools.kubernetes.processes import entered
from tools.kubernetes.settings import ClusterError

if TYPE_CHECKING:
    from tools.kubernetes.settings import Cluster


def make_network(cluster: Cluster) -> None:
    """Make the namespace with loopback, the bridge with the node's address, and forwarding between pods."""
    if cluster.namespace in _namespaces():
        return
    _run("ip", "netns", "add", cluster.namespace)
    for command in (
        ("ip", "link", "set", "lo", "up"),
        ("ip", "link", "add", cluster.bridge, "type", "bridge"),
        ("ip", "address", "add", f"{cluster.bridge_ip}/16", "dev", cluster.bridge),
        ("ip", "link", "set", cluster.bridge, "up"),
        # There is no way out of the namespace; what a pod sends to the world is refused at once and does not hang.
        ("ip", "route", "add", "unreachable", "default"),
        ("sysctl", "-qw", "net.ipv4.ip_forward=1"),
    ):
        _run(*map(str, entered(cluster, command)))


def remove_network(cluster: Cluster) -> None:
    """Remove the namespace with all that is in it: bridge, rules, addresses."""
    if cluster.namespace in _namespaces():
        _run("ip", "netns", "delete", cluster.namespace)


def _namespaces() -> set[str]:
    return {line.split()[0] for line in _run("ip", "netns", "list").splitlines() if line.strip()}


def _run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ClusterError(
            f"a network for the cluster is not possible here: {' '.join(command)}: {ended.stderr.strip()}"
        )
    return ended.stdout
