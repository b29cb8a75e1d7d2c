"""Rules for what is in clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flyteform_platform.policies.resource import Problems, Resource

_WORKLOADS: Final = (":Deployment", ":StatefulSet", ":DaemonSet", ":Job")
_ROLES: Final = (":Role", ":ClusterRole")
_HOST: Final = ("hostNetwork", "hostPID", "hostIPC")


def _containers(resource: Resource) -> Iterator[Mapping[str, Any]]:
    pod = resource.at("spec.template.spec") or {}
    yield from pod.get("initContainers") or ()
    yield from pod.get("containers") or ()


def _restricted(resource: Resource) -> Problems:
    pod = resource.at("spec.template.spec") or {}
    about = pod.get("securityContext") or {}
    for container in _containers(resource):
        name, own = container.get("name"), container.get("securityContext") or {}
        both = {**about, **own}
        if not both.get("runAsNonRoot"):
            yield f"{name} may run as root"
        if (both.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
            yield f"{name} has no seccomp profile"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may get more rights"
        if not own.get("readOnlyRootFilesystem"):
            yield f"{name} may write to its image's files"
        if "ALL" not in ((own.get("capabilities") or {}).get("drop") or ()):
            yield f"{name} keeps capabilities"


def _bounded(resource: Resource) -> Problems:
    for container in _containers(resource):
        resources = container.get("resources") or {}
        if "memory" not in (resources.get("limits") or {}):
            yield f"{container.get('name')} has no limit of memory"
        if "cpu" not in (resources.get("requests") or {}):
            yield f"{container.get('name')} asks for no CPU"


def _apart(resource: Resource) -> Problems:
    pod = resource.at("spec.template.spec") or {}
    yield from (f"{key} is true" for key in _HOST if pod.get(key))
    yield from (
        f"the volume {each['name']} is a path of the node" for each in pod.get("volumes") or () if "hostPath" in each
    )


def _pinned(resource: Resource) -> Problems:
    for container in _containers(resource):
        image = str(container.get("image", ""))
        tag = image.rpartition("/")[2]
        if "@sha256:" not in image and (":" not in tag or tag.endswith(":latest")):
            yield f"{container.get('name')} has the image {image or 'of nobody'}, which changes under its name"
        elif resource.is_production and "@sha256:" not in image and resource.name.startswith("flyteform"):
            yield f"{container.get('name')} has the image {image} without a digest in production"


def _minimal(resource: Resource) -> Problems:
    for rule in resource.inputs.get("rules") or ():
        if any("*" in (rule.get(key) or ()) for key in ("apiGroups", "resources", "verbs")):
            yield f"a rule has a wildcard: {dict(rule)}"
        reads = {"get", "list", "watch"} & set(rule.get("verbs") or ())
        if "secrets" in (rule.get("resources") or ()) and reads and not rule.get("resourceNames"):
            yield "a rule reads all Secrets"
        if {"escalate", "impersonate"} & set(rule.get("verbs") or ()):
            yield "a rule lets its subjects become somebody else"


def _inside(resource: Resource) -> Problems:
    if resource.at("spec.type") in ("NodePort", "LoadBalancer"):
        yield f"it is a {resource.at('spec.type')}: callers come through the gateway"


def _admission(resource: Resource) -> Problems:
    labels = resource.at("metadata.labels") or {}
    if not labels.get("pod-security.kubernetes.io/enforce"):
        yield "no level of pod security is enforced in the namespace"


def _tokens(resource: Resource) -> Problems:
    pod = resource.at("spec.template.spec") or {}
    if pod.get("automountServiceAccountToken") is None:
        yield "it is left open whether its pods have a token of the API server"


RULES: Final = {
    "pods-restricted": ("A process that is taken over gets no further.", _WORKLOADS, _restricted),
    "pods-bounded": ("One process cannot starve the others of its node.", _WORKLOADS, _bounded),
    "pods-apart-from-nodes": ("What is the node's stays the node's.", _WORKLOADS, _apart),
    "images-pinned": ("What runs is what was tested.", _WORKLOADS, _pinned),
    "tokens-on-purpose": ("Who does not call the API server has no token of it.", _WORKLOADS, _tokens),
    "roles-minimal": ("Who is taken over may do little.", _ROLES, _minimal),
    "services-inside": ("There is one door.", (":Service",), _inside),
    "namespaces-enforce": ("The API server refuses what is not restricted.", (":Namespace",), _admission),
}
