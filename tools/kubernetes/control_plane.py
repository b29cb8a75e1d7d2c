"""etcd, the API server, the controller manager and the scheduler."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tools.kubernetes.processes import entered
from tools.kubernetes.settings import Mode

if TYPE_CHECKING:
    from pathlib import Path

    from tools.kubernetes.processes import Processes
    from tools.kubernetes.settings import Cluster

_ETCD, _API, _MANAGER, _SCHEDULER = "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"
NAMES = (_ETCD, _API, _MANAGER, _SCHEDULER)


def start_control_plane(cluster: Cluster, processes: Processes, kube: Path) -> None:
    """Start all four and wait until pods could be created."""
    processes.start(_ETCD, [kube, _ETCD, *_etcd(cluster)])
    processes.start(_API, [kube, _API, *_api(cluster)])
    processes.wait("the API server is ready", 120, lambda: answers(cluster, kube, "get", "--raw", "/readyz"), by=_API)
    processes.start(_MANAGER, [kube, _MANAGER, *_manager(cluster)])
    processes.start(_SCHEDULER, [kube, _SCHEDULER, *_scheduler(cluster)])
    wanted = ("get", "serviceaccount", "default", "--namespace=default")
    processes.wait("there is a service account", 60, lambda: answers(cluster, kube, *wanted), by=_MANAGER)


def answers(cluster: Cluster, kube: Path, *arguments: str) -> bool:
    """Whether a kubectl command succeeds."""
    command = entered(cluster, [kube, "kubectl", f"--kubeconfig={cluster.kubeconfig}", *arguments])
    return subprocess.run([*map(str, command)], capture_output=True, check=False).returncode == 0


def _etcd(cluster: Cluster) -> list[str]:
    client, peer = f"http://127.0.0.1:{cluster.etcd_port}", f"http://127.0.0.1:{cluster.peer_port}"
    return [
        f"--data-dir={cluster.run}/etcd",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",  # a test's cluster need not outlive the machine
        "--log-level=warn",
    ]


def _api(cluster: Cluster) -> list[str]:
    pki = cluster.run / "pki"
    # Without a node nobody reaches the Service `kubernetes`, and loopback is refused as its endpoint.
    endpoints = [] if cluster.mode is Mode.FULL else ["--endpoint-reconciler-type=none"]
    return [
        f"--etcd-servers=http://127.0.0.1:{cluster.etcd_port}",
        f"--bind-address={cluster.api_ip}",
        f"--advertise-address={cluster.api_ip}",
        f"--secure-port={cluster.api_port}",
        *endpoints,
        f"--cert-dir={pki}",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/service-account.pub",
        f"--service-account-signing-key-file={pki}/service-account.key",
        f"--kubelet-client-certificate={pki}/apiserver-kubelet.crt",
        f"--kubelet-client-key={pki}/apiserver-kubelet.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-cluster-ip-range={cluster.service_net}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
    ]


def _manager(cluster: Cluster) -> list[str]:
    pki = cluster.run / "pki"
    return [
        # The administrator's: its own identity may not do what its controllers do without one account for each.
        f"--kubeconfig={cluster.kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/service-account.key",
        "--use-service-account-credentials=false",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--cluster-cidr={cluster.pod_net}",
        "--node-monitor-grace-period=10m",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--concurrent-gc-syncs=20",
    ]


def _scheduler(cluster: Cluster) -> list[str]:
    return [
        f"--kubeconfig={cluster.run}/scheduler.kubeconfig",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]
