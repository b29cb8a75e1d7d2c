"""What a node needs of the machine: root who may do what container engines do, and Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.kubernetes import cgroups
from tools.kubernetes.settings import ClusterError

PLUGINS = Path("/usr/lib/cni")
_PACKAGES = (
    *("containerd", "runc", "containernetworking-plugins", "iproute2", "iptables", "conntrack", "procps"),
    *("util-linux", "mount", "gcc", "libc6-dev"),
)
_COMMANDS = (
    *("containerd", "ctr", "runc", "ip", "iptables", "conntrack", "sysctl"),
    *("nsenter", "unshare", "mount", "umount", "cc"),
)
# In namespaces that vanish with the command: what is tried leaves nothing.
_ALONE = ("unshare", "--net", "--mount")


def prepare(folder: Path) -> None:
    """Install what is missing for a node in this folder; `ClusterError` where that is not enough or not possible."""
    if os.geteuid() != 0:
        raise ClusterError("a cluster with real pods needs root; as a user: make cluster ARGS='up --mode control'")
    _install()
    _try("make namespaces", *_ALONE, "true")
    _try("change rules of a firewall", *_ALONE, "iptables", "--table=nat", "--list")
    if not cgroups.writable():
        raise ClusterError("root may not make control groups here, as in most containers: take a machine of its own")
    # In most containers this is an overlay itself, on which there is no other.
    with tempfile.TemporaryDirectory(dir=_existing(folder)) as below:
        layers = {name: Path(below, name) for name in ("lowerdir", "upperdir", "workdir")}
        for layer in layers.values():
            layer.mkdir()
        options = ",".join(f"{name}={layer}" for name, layer in layers.items())
        _try(f"mount layers of images below {folder}", *_ALONE, "mount", "-toverlay", f"-o{options}", "overlay", below)


def _install() -> None:
    if all(map(shutil.which, _COMMANDS)) and (PLUGINS / "bridge").exists():
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(f"install what Debian calls {', '.join(_PACKAGES)}")
    print(f"installing {', '.join(_PACKAGES)}, as far as they are missing …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (("apt-get", "update", "-q"), ("apt-get", "install", "-qy", "--no-install-recommends", *_PACKAGES)):
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise ClusterError(f"{' '.join(command)}: {ended.stderr.strip()[-500:]}")


def _try(what: str, *command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ClusterError(f"root may not {what} here: {ended.stderr.strip()}")


def _existing(folder: Path) -> Path:
    """Return the folder or the next above it that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())
