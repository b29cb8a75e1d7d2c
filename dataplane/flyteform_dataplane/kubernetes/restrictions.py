"""What a pod that a task brings may not ask for: the node that it runs on, and with that all other pods there.

It is what Kubernetes' `baseline` pod security refuses, and the priority of the system's own pods, to which all others
have to give way. Namespaces may enforce that themselves, and more; whether they do is not ours to say. Whoever runs the
cluster may put it into pod templates, or allow it in the profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.podspecs import containers_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform_dataplane.kubernetes.profile import Json

_NAMESPACES: Final = ("hostNetwork", "hostPID", "hostIPC")
_SYSTEM: Final = "system-"
_CAPABILITIES: Final = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
        "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_SYSCTLS: Final = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
    }
)  # fmt: skip


def refuse_the_node(spec: Json, task: str) -> None:
    """Raise `UserError` with all that a task's pod must not have; its form was looked at before."""
    found = ", ".join(_asked(spec))
    if found:
        raise UserError(
            f"the pod of task {task} asks for what is the node's: {found}",
            remedy="leave it out; whoever runs the cluster may put it into a pod template, or allow host-access",
        )


def _asked(spec: Json) -> Iterator[str]:
    security = spec.get("securityContext", {})
    yield from (name for name in _NAMESPACES if spec.get(name))
    if spec.get("priorityClassName", "").startswith(_SYSTEM):
        yield f"priority class {spec['priorityClassName']}"
    yield from (f"hostPath of volume {one['name']}" for one in spec.get("volumes", []) if "hostPath" in one)
    yield from (f"sysctl {one['name']}" for one in security.get("sysctls", []) if one["name"] not in _SYSCTLS)
    yield from _asked_by_any(security)
    for container in containers_in(spec):
        yield from (f"{asked} of container {container['name']}" for asked in _asked_by(container))


def _asked_by_any(security: Json) -> Iterator[str]:
    """Yield what pods and containers may ask for by the same words."""
    if security.get("windowsOptions", {}).get("hostProcess"):
        yield "hostProcess"
    for profile in ("seccompProfile", "appArmorProfile"):
        if security.get(profile, {}).get("type") == "Unconfined":
            yield f"unconfined {profile}"


def _asked_by(container: Json) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("privileged"):
        yield "privileged"
    if security.get("procMount", "Default") != "Default":
        yield "procMount"
    added = security.get("capabilities", {}).get("add", [])
    yield from (f"capability {name}" for name in added if name not in _CAPABILITIES)
    if any(port.get("hostPort") for port in container.get("ports", [])):
        yield "hostPort"
    yield from _asked_by_any(security)
