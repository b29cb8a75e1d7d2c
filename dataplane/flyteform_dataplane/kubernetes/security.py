"""Security contexts: the cluster's, below those of templates, and none of them where a pod says its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.podspecs import containers_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform_dataplane.kubernetes.profile import Json, PodProfile


def secure(spec: Json, own: Json, profile: PodProfile) -> None:
    """Add the cluster's security contexts to a pod and its containers, where `own`, before its template, has none."""
    ours = "securityContext" not in own
    if ours:
        spec["securityContext"] = _under(profile.pod_security, spec.get("securityContext", {}))
    secured = {container["name"] for container in containers_in(own) if "securityContext" in container}
    for container in containers_in(spec):
        if container["name"] not in secured:
            container["securityContext"] = _under(profile.container_security, container.get("securityContext", {}))
        if ours and _is_root(container["securityContext"]) and spec["securityContext"].get("runAsNonRoot"):
            # A kubelet would not start what is said to be root here, and to be nobody there.
            container["securityContext"].setdefault("runAsNonRoot", False)


def _under(defaults: Mapping[str, object], given: Json) -> Json:
    """Return what is given over the defaults, less those that contradict it: Kubernetes would refuse both."""
    made = {**defaults, **given}  # what is within them stays the profile's, which nobody changes
    if _is_root(given) and "runAsNonRoot" not in given:
        made.pop("runAsNonRoot", None)
    added = (given.get("capabilities") or {}).get("add") or []
    if (given.get("privileged") or "SYS_ADMIN" in added) and "allowPrivilegeEscalation" not in given:
        made.pop("allowPrivilegeEscalation", None)
    return made


def _is_root(security: Json) -> bool:
    return security.get("runAsUser") == 0
