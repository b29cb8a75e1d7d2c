"""What is kept of a pod that is watched: there may be ten thousand, and a whole one takes twenty kilobytes."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform_dataplane.kubernetes.profile import Json

_METADATA: Final = (
    "namespace", "name", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "finalizers",
)  # fmt: skip
_SPEC: Final = ("hostname", "nodeName")
_STATUS: Final = ("phase", "reason", "message", "startTime", "hostIP", "podIP")
_STATUSES: Final = ("initContainerStatuses", "containerStatuses")
_CONTAINER: Final = ("name", "containerID", "ready", "restartCount", "started")
_STATES: Final = ("state", "lastState")
_STATE: Final = {
    "waiting": ("reason", "message"),
    "running": ("startedAt",),
    "terminated": ("exitCode", "signal", "reason", "message", "startedAt", "finishedAt"),
}
_CONDITIONS: Final = frozenset({"PodScheduled", "ContainersReady", "DisruptionTarget"})
_CONDITION: Final = ("type", "status", "reason", "message", "lastTransitionTime")
_SHARED = 4096  # parts that are alike in so many pods, more or less


def trimmed_pod(pod: Json) -> Json:
    """Return the parts by which a pod is found, judged and shown; what many pods have alike is kept once."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    kept = _only(metadata, _METADATA)
    kept["labels"] = _shared(**(metadata.get("labels") or {}))
    kept["annotations"] = {sys.intern(name): value for name, value in (metadata.get("annotations") or {}).items()}
    told = _only(status, _STATUS)
    conditions = (each for each in status.get("conditions", []) if each.get("type") in _CONDITIONS)
    told["conditions"] = [_shared(**_only(each, _CONDITION)) for each in conditions]
    for name in _STATUSES:
        if status.get(name):
            told[name] = [_container(each) for each in status[name]]
    return {"metadata": kept, "spec": _shared(**_only(spec, _SPEC)), "status": told}


def _container(status: Json) -> Json:
    kept = _only(status, _CONTAINER)
    for which in _STATES:
        if state := status.get(which):
            kept[which] = {kind: _only(state[kind], fields) for kind, fields in _STATE.items() if kind in state}
    return kept


def _only(fields: Mapping[str, object], names: tuple[str, ...]) -> Json:
    return {name: fields[name] for name in names if fields.get(name) not in (None, {}, [])}


@lru_cache(_SHARED)
def _shared(**texts: str) -> Json:
    """Return a mapping of texts: the same one for the same texts."""
    return {sys.intern(name): value for name, value in texts.items()}
