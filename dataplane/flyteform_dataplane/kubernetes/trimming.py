"""What is kept of a pod that is watched: there may be ten thousand, and a whole one takes twenty kilobytes."""

from __future__ import annotations

import sys
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
_CONTAINER: Final = ("name", "containerID", "state", "lastState", "ready", "restartCount", "started")
_CONDITIONS: Final = frozenset({"PodScheduled", "ContainersReady", "DisruptionTarget"})


def trimmed_pod(pod: Json) -> Json:
    """Return the parts by which a pod is found, judged and shown; texts that many pods share are kept once."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    kept = _only(metadata, _METADATA)
    kept["labels"], kept["annotations"] = (_shared(metadata.get(name) or {}) for name in ("labels", "annotations"))
    told = _only(status, _STATUS)
    told["conditions"] = [each for each in status.get("conditions", []) if each.get("type") in _CONDITIONS]
    for name in _STATUSES:
        if status.get(name):
            told[name] = [_only(each, _CONTAINER) for each in status[name]]
    return {"metadata": kept, "spec": _only(spec, _SPEC), "status": told}


def _only(fields: Mapping[str, object], names: tuple[str, ...]) -> Json:
    return {name: fields[name] for name in names if fields.get(name) not in (None, {}, [])}


def _shared(texts: Mapping[str, str]) -> dict[str, str]:
    return {sys.intern(name): sys.intern(value) for name, value in texts.items()}
