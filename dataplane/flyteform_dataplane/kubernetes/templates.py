"""Merging a pod with a template: the pod's own words win, and lists join by the names in them, as Kubernetes' do."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform_dataplane.kubernetes.profile import Json

# A template's container with one of these names stands for all containers, or for the primary one.
_STANDING = {"containers": ("default", "primary"), "initContainers": ("default-init", "primary-init")}
# How entries of lists are told apart (Kubernetes' `patchMergeKey`); lists that are not here follow each other.
_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
# Lists whose order or wholeness is their meaning.
_REPLACED = frozenset({"command", "args", "drop", "add"})


def merged(template: Json, pod: Json, primary: str, primary_init: str = "") -> Json:
    """Return the pod with what the template (`metadata` and `spec`) says where the pod says nothing.

    The template's container `default` fills in every container, `primary` the primary one, `default-init` and
    `primary-init` do so among those that run first. As in Flyte all others are dropped, unless the pod has one of that
    name: a template has to have a container, and one that is not meant is often called `noop`.
    """
    base = {field: copy.deepcopy(template.get(field, {})) for field in ("metadata", "spec")}
    for field, main in (("containers", primary), ("initContainers", primary_init)):
        base["spec"][field] = _spread(template, pod["spec"], field, main)
        if not base["spec"][field]:
            del base["spec"][field]
    return _merge(base, pod)


def standing(template: Json, name: str, *, primary: bool, field: str = "containers") -> Json:
    """Return what a template says of a container of a pod."""
    containers = template.get("spec", {}).get(field, [])
    default, main = _STANDING[field]
    base = _merge(_named(containers, default), _named(containers, main) if primary else {})
    return _merge({**base, "name": name}, _named(containers, name) if name not in (default, main) else {})


def _spread(template: Json, wanted: Json, field: str, primary: str) -> list[Json]:
    """Return what the template says of each container of the pod, in the pod's order."""
    names = [container["name"] for container in wanted.get(field, [])]
    return [copy.deepcopy(standing(template, name, primary=name == primary, field=field)) for name in names]


def _named(containers: list[Json], name: str) -> Json:
    return next((container for container in containers if container["name"] == name), {})


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    result = dict(base)
    for key, value in over.items():
        result[key] = _merge_value(key, result[key], value) if key in result else copy.deepcopy(value)
    return result


def _merge_value(key: str, base: Any, over: Any) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        return _merge(base, over)
    if isinstance(base, list) and isinstance(over, list) and key not in _REPLACED:
        return _merge_lists(base, over, _KEYS.get(key))
    return copy.deepcopy(over)


def _merge_lists(base: list[Any], over: list[Any], key: str | None) -> list[Any]:
    if key is None:
        return [*base, *(copy.deepcopy(entry) for entry in over if entry not in base)]
    entries = {entry.get(key): entry for entry in base}
    for entry in over:
        known = entries.get(entry.get(key))
        entries[entry.get(key)] = copy.deepcopy(entry) if known is None else _merge(known, entry)
    return list(entries.values())
