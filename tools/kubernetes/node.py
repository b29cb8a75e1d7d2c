"""A node that runs real pods: containerd, kubelet, kube-proxy and DNS, as processes of this machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tools.kubernetes import cgroups
from tools.kubernetes.builds import COREDNS, built
from tools.kubernetes.control_plane import answers
from tools.kubernetes.images import PAUSE, pause_image, write_archive
from tools.kubernetes.machine import PLUGINS
from tools.kubernetes.settings import ClusterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from tools.kubernetes.images import Image
    from tools.kubernetes.processes import Processes
    from tools.kubernetes.settings import Cluster

_CONTAINERD, _KUBELET, _PROXY, _DNS = "containerd", "kubelet", "kube-proxy", "coredns"
NAMES = (_CONTAINERD, _KUBELET, _PROXY, _DNS)
_IMPORT = ("--namespace=k8s.io", "images", "import")
# A kubelet sets these for the whole machine when it starts; they are put back.
_MACHINE_WIDE = ("kernel.panic", "kernel.panic_on_oops", "vm.overcommit_memory")


def start_node(cluster: Cluster, processes: Processes, kube: Path) -> None:
    """Start all four and wait until the node is Ready."""
    _write_files(cluster)
    cgroups.make(cluster)
    config = cluster.run / "containerd.toml"
    processes.start(_CONTAINERD, ["containerd", f"--config={config}", "--log-level=warn"])
    processes.wait("containerd answers", 60, lambda: _ctr(cluster, "version").returncode == 0, by=_CONTAINERD)
    import_image(cluster, pause_image())
    before = _machine_wide()
    processes.start(_KUBELET, [kube, _KUBELET, *_kubelet_arguments(cluster)])
    ready = ("wait", f"node/{cluster.node}", "--for=condition=Ready", "--timeout=1s")
    processes.wait("the node is Ready", 90, lambda: answers(cluster, kube, *ready), by=_KUBELET)
    for setting in before:
        subprocess.run(["sysctl", "-qw", setting], check=False, capture_output=True)
    processes.start(_PROXY, [kube, _PROXY, *_proxy_arguments(cluster)])
    processes.start(_DNS, [built(COREDNS), f"-conf={cluster.run}/Corefile"])


def import_image(cluster: Cluster, *given: Image) -> None:
    """Give the node images; pods use them with `imagePullPolicy: IfNotPresent` or `Never`."""
    command = _ctr_command(cluster, *_IMPORT, "-")
    with tempfile.TemporaryFile() as said:
        ctr = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said)
        with contextlib.suppress(BrokenPipeError), cast("BinaryIO", ctr.stdin) as out:
            write_archive(given, out)
        if ctr.wait():
            said.seek(0)
            names = ", ".join(image.name for image in given)
            raise ClusterError(f"{names} could not be imported: {said.read().decode(errors='replace').strip()}")


def import_archive(cluster: Cluster, archive: Path) -> None:
    """Give the node the images of an archive."""
    ended = _ctr(cluster, *_IMPORT, str(archive))
    if ended.returncode:
        raise ClusterError(f"{archive} could not be imported: {ended.stderr.strip()}")


def clean_node(cluster: Cluster) -> None:
    """Kill the containers of this cluster's containerd; called before that is stopped."""
    for task in _listed(cluster, "tasks", "list", "--quiet"):
        _ctr(cluster, "--namespace=k8s.io", "tasks", "kill", "--all", "--signal=SIGKILL", task)
        _ctr(cluster, "--namespace=k8s.io", "tasks", "delete", "--force", task)
    for container in _listed(cluster, "containers", "list", "--quiet"):
        _ctr(cluster, "--namespace=k8s.io", "containers", "delete", container)


def release_node(cluster: Cluster) -> None:
    """Unmount what is mounted below the cluster's folder, and remove its control groups."""
    below = f"{cluster.run}/"
    with Path("/proc/mounts").open() as mounts:
        found = sorted((line.split()[1] for line in mounts if line.split()[1].startswith(below)), reverse=True)
    for mount in found:
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    for namespace in _pod_namespaces(cluster):
        subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)
    cgroups.remove(cluster)


def _pod_namespaces(cluster: Cluster) -> Iterator[str]:
    """Yield the network namespaces that containerd made for this cluster's pods and that a kill left behind."""
    for cached in (cluster.run / "cni" / "cache" / "results").glob("*"):
        try:
            yield Path(json.loads(cached.read_text())["netns"]).name
        except (ValueError, KeyError):
            continue


def _socket(cluster: Cluster) -> Path:
    return cluster.run / "containerd.sock"


def _ctr(cluster: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_ctr_command(cluster, *arguments), capture_output=True, text=True, check=False)


def _ctr_command(cluster: Cluster, *arguments: str) -> list[str]:
    return ["ctr", f"--address={_socket(cluster)}", *arguments]


def _listed(cluster: Cluster, *arguments: str) -> list[str]:
    return _ctr(cluster, "--namespace=k8s.io", *arguments).stdout.split()


def _machine_wide() -> list[str]:
    listed = subprocess.run(["sysctl", *_MACHINE_WIDE], capture_output=True, text=True, check=False).stdout
    return [line.replace(" = ", "=") for line in listed.splitlines()]


def _write_files(cluster: Cluster) -> None:
    cni = cluster.run / "cni"
    cni.mkdir(exist_ok=True)
    (cni / "10-pods.conflist").write_text(json.dumps(_cni(cluster), indent=1))
    (cluster.run / "containerd.toml").write_text(_containerd(cluster))
    (cluster.run / "kubelet.yaml").write_text(json.dumps(_kubelet(cluster), indent=1))
    (cluster.run / "Corefile").write_text(_corefile(cluster))


def _cni(cluster: Cluster) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": f"{cluster.run}/cni/addresses",
        "ranges": [[{"subnet": cluster.pod_net, "rangeStart": cluster.pod_start, "gateway": cluster.bridge_ip}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": cluster.bridge,
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def _containerd(cluster: Cluster) -> str:
    run = cluster.run
    return f"""\
version = 2
root = "{run}/containerd/root"
state = "{run}/containerd/state"
oom_score = 0
[grpc]
  address = "{_socket(cluster)}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Root need not have CAP_SYS_RESOURCE: a lower oom_score_adj would be refused.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{run}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
"""


def _kubelet(cluster: Cluster) -> dict[str, object]:
    pki = cluster.run / "pki"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,  # a machine may still have version 1
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroups.name(cluster)}",
        "containerRuntimeEndpoint": f"unix://{_socket(cluster)}",
        "address": cluster.bridge_ip,
        "port": 10250,
        "healthzPort": 10248,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": f"{pki}/ca.crt"},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "tlsCertFile": f"{pki}/kubelet.crt",
        "tlsPrivateKeyFile": f"{pki}/kubelet.key",
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "maxPods": 200,
        # A kubelet removes the logs of pods that it does not know: another cluster's, where they share a folder.
        "podLogsDir": f"{cluster.run}/pod-logs",
        # Tests have many small pods: each may use what the machine has to spare.
        "cpuCFSQuota": False,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        # There is no registry to get an image back from.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "resolvConf": "/etc/resolv.conf",
        "clusterDomain": "cluster.local",
        "clusterDNS": [cluster.bridge_ip],
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        # Makes refused limits and kernel settings warnings, where root is not almighty.
        "featureGates": {"KubeletInUserNamespace": True},
    }


def _kubelet_arguments(cluster: Cluster) -> list[str]:
    return [
        f"--config={cluster.run}/kubelet.yaml",
        f"--kubeconfig={cluster.run}/kubelet.kubeconfig",
        f"--root-dir={cluster.run}/kubelet",
        f"--cert-dir={cluster.run}/pki",
        f"--hostname-override={cluster.node}",
        f"--node-ip={cluster.bridge_ip}",
    ]


def _proxy_arguments(cluster: Cluster) -> list[str]:
    return [
        f"--kubeconfig={cluster.run}/proxy.kubeconfig",
        f"--hostname-override={cluster.node}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={cluster.pod_net}",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
        "--healthz-bind-address=127.0.0.1:10256",
        "--metrics-bind-address=127.0.0.1:10249",
    ]


def _corefile(cluster: Cluster) -> str:
    """Names of the cluster's Services; `host.cluster.test` is the machine itself, where tests have their servers."""
    return f"""\
cluster.local:53 {{
  bind {cluster.bridge_ip}
  errors
  kubernetes cluster.local {{
    kubeconfig {cluster.kubeconfig}
  }}
}}
.:53 {{
  bind {cluster.bridge_ip}
  hosts {{
    {cluster.bridge_ip} host.cluster.test
  }}
}}
"""
