"""What is kept of a pod that is watched: there may be ten thousand, and a whole one takes twenty kilobytes."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypedDict

from flyteform_dataplane.kubernetes.wire import Change, Listed, Metadata, Reader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json


class _Spec(TypedDict, total=False):
    hostname: str
    nodeName: str


class _Waiting(TypedDict, total=False):
    reason: str
    message: str


class _Running(TypedDict, total=False):
    startedAt: str | None


class _Terminated(TypedDict, total=False):
    exitCode: int
    signal: int
    reason: str
    message: str
    startedAt: str | None
    finishedAt: str | None


class _State(TypedDict, total=False):
    waiting: _Waiting | None
    running: _Running | None
    terminated: _Terminated | None


class _Container(TypedDict, total=False):
    name: str
    containerID: str
    ready: bool
    restartCount: int
    started: bool | None
    state: _State
    lastState: _State


class _Condition(TypedDict, total=False):
    type: str
    status: str
    reason: str
    message: str
    lastTransitionTime: str | None


class _Status(TypedDict, total=False):
    phase: str
    reason: str
    message: str
    startTime: str | None
    hostIP: str
    podIP: str
    conditions: list[_Condition] | None
    initContainerStatuses: list[_Container] | None
    containerStatuses: list[_Container] | None


class _Pod(TypedDict, total=False):
    metadata: Metadata
    spec: _Spec
    status: _Status


read_pods: Final = Reader(Change[_Pod])
read_pod_lists: Final = Reader(Listed[_Pod])
_METADATA: Final = (
    "namespace", "name", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "finalizers",
)  # fmt: skip
_SPEC: Final = tuple(_Spec.__annotations__)
_STATUSES: Final = ("initContainerStatuses", "containerStatuses")
_STATUS: Final = tuple(name for name in _Status.__annotations__ if name not in ("conditions", *_STATUSES))
_STATES: Final = ("state", "lastState")
_CONTAINER: Final = tuple(name for name in _Container.__annotations__ if name not in _STATES)
_STATE: Final = {
    kind: tuple(form.__annotations__)
    for kind, form in (("waiting", _Waiting), ("running", _Running), ("terminated", _Terminated))
}
_CONDITIONS: Final = frozenset({"PodScheduled", "ContainersReady", "DisruptionTarget"})
_CONDITION: Final = tuple(_Condition.__annotations__)
_SHARED = 4096  # parts that are alike in so many pods, more or less
_ZEROS: Final = (0, "")  # and False, which is 0: they say something, while null and what is empty say nothing


class TrimmedPods:
    """The pods of an API server, of which no more is read than is kept, as two thirds of a pod nobody looks at."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api

    async def get(self, path: str, /, **query: str) -> Json:
        """Return a page of a list."""
        return await self._api.get(path, read_pod_lists, **query)

    async def get_metadata(self, path: str, **query: str) -> Json:
        """Return a list of metadata."""
        return await self._api.get_metadata(path, **query)

    def watch(
        self, path: str, version: str, /, *, metadata_only: bool = False, **query: str
    ) -> AsyncIterator[tuple[str, Json]]:
        """Yield changes from a resource version on."""
        return self._api.watch(path, version, read_pods, metadata_only=metadata_only, **query)


def trimmed_pod(pod: Json) -> Json:
    """Return the parts by which a pod is found, judged and shown; what many pods have alike is kept once."""
    metadata, status = pod["metadata"], pod.get("status", {})
    kept = _only(metadata, _METADATA)
    kept["labels"] = _shared(**(metadata.get("labels") or {}))
    kept["annotations"] = _interned(metadata.get("annotations") or {})
    told = _only(status, _STATUS)
    conditions = status.get("conditions") or ()
    told["conditions"] = [_shared(**_only(one, _CONDITION)) for one in conditions if one.get("type") in _CONDITIONS]
    for name in _STATUSES:
        if status.get(name):
            told[name] = [_container(each) for each in status[name]]
    return {"metadata": kept, "spec": _shared(**_only(pod.get("spec", {}), _SPEC)), "status": told}


def _container(status: Json) -> Json:
    kept = _only(status, _CONTAINER)
    for which in _STATES:
        if state := status.get(which):
            kept[which] = {kind: _only(state[kind], _STATE[kind]) for kind in _STATE if state.get(kind) is not None}
    return kept


def _only(fields: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: value for name in names if (value := fields.get(name)) or value in _ZEROS}


def _interned(texts: Mapping[str, str]) -> Json:
    return {sys.intern(name): value for name, value in texts.items()}


@lru_cache(_SHARED)
def _shared(**texts: str) -> Json:
    """Return a mapping of texts: the same one for the same texts."""
    return _interned(texts)
