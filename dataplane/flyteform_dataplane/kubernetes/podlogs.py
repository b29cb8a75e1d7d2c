"""What attempts print, read from the API server as long as their pods are there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from flyteform.errors import NotFoundError
from flyteform_dataplane.attempt_logs import Lines, attempt_of
from flyteform_dataplane.kubernetes.names import place_of
from flyteform_dataplane.kubernetes.pods import ATTEMPT_ANNOTATION, PRIMARY_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform.proto.flyteform.v1.link_pb2 import TailLogs
    from flyteform_dataplane.kubernetes.profile import Json

_PAUSE = 1.0  # seconds between two looks at whether a pod has begun
_OVER = ("Succeeded", "Failed")


class Pods(Protocol):
    """The part of an API server that is needed."""

    async def get(self, path: str, /, **query: str) -> Json:
        """Return an object; `NotFoundError` if there is none."""
        ...

    def stream(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """Yield what is no JSON, as it comes."""
        ...


class PodLogs:
    """Reads the logs of primary containers."""

    def __init__(self, api: Pods, *, pause: float = _PAUSE) -> None:
        self._api = api
        self._pause = pause

    async def tail(self, question: TailLogs) -> AsyncIterator[list[str]]:
        """Yield lines in batches; `NotFoundError` for an attempt whose pod is not there, or prints nothing yet.

        With `follow` it waits for that, and goes on until the container has ended.
        """
        namespace, name = place_of(attempt_of(question))
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        primary = await self._begun(path, question)
        query = {"container": primary, **({"follow": "true"} if question.follow else {})}
        if question.lines:
            query["tailLines"] = str(question.lines)
        lines = Lines()
        async for chunk in self._api.stream(f"{path}/log", **query):
            yield lines.take(chunk)
        yield lines.end()

    async def _begun(self, path: str, question: TailLogs) -> str:
        """Return the name of the primary container, once it has a log."""
        while True:
            try:
                pod = await self._api.get(path)
            except NotFoundError as error:
                raise NotFoundError(
                    f"attempt {attempt_of(question)} has no pod in this cluster",
                    remedy="pods that have ended are removed after a while: look where the cluster keeps its logs",
                ) from error
            annotations = pod["metadata"].get("annotations") or {}
            # Others may have made a pod of its name, whose log is none of ours to tell.
            if annotations.get(ATTEMPT_ANNOTATION) != attempt_of(question):
                raise NotFoundError(f"attempt {attempt_of(question)} has no pod in this cluster")
            primary: str = annotations[PRIMARY_ANNOTATION]
            statuses = pod.get("status", {}).get("containerStatuses", [])
            states = [one.get("state", {}) for one in statuses if one["name"] == primary]
            if any("running" in state or "terminated" in state for state in states):
                return primary
            if pod.get("status", {}).get("phase") in _OVER:
                raise NotFoundError(f"attempt {attempt_of(question)} has ended before it began")
            if not question.follow:
                raise NotFoundError(f"attempt {attempt_of(question)} has not begun")
            await asyncio.sleep(self._pause)
