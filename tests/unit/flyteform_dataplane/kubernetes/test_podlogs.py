"""How the logs of pods are read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.errors import NotFoundError
from flyteform.proto.flyteform.v1.link_pb2 import TailLogs
from flyteform_dataplane.kubernetes.podlogs import PodLogs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.pods import Json

EXECUTION = WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name="f1")
RUNNING = {"name": "main", "state": {"running": {}}}
WAITING = {"name": "main", "state": {"waiting": {"reason": "ContainerCreating"}}}


class Pods:
    """Pods whose container is in one state after the other, with a log."""

    def __init__(self, *states: Json, chunks: tuple[bytes, ...] = (b"one\ntw", b"o\nthree\n", b"fo\xffur")) -> None:
        self.states = list(states)
        self.chunks = chunks
        self.phase = "Running"
        self.attempt = "flytesnacks/development/f1/n0/0"
        self.asked: list[tuple[str, Json]] = []

    async def get(self, path: str, **query: str) -> Json:
        """Return the pod in its next state."""
        self.asked.append((path, query))
        if not self.states:
            raise NotFoundError("no such pod")
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        annotations = {"primary_container_name": "main", "flyteform.dev/attempt": self.attempt}
        status = {"phase": self.phase, "containerStatuses": [{"name": "other"}, state]}
        return {"metadata": {"annotations": annotations if self.attempt else None}, "status": status}

    async def stream(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """Yield the log."""
        self.asked.append((path, query))
        for chunk in self.chunks:
            yield chunk


async def read(pods: Pods, **question: object) -> list[str]:
    """Return the lines that are told."""
    asked = TailLogs(execution=EXECUTION, node_id="n0", **question)  # type: ignore[arg-type]
    return [line async for lines in PodLogs(pods, pause=0.001).tail(asked) for line in lines]


async def test_lines_are_whole() -> None:
    """However they arrive, and whatever bytes a program prints."""
    assert await read(Pods(RUNNING)) == ["one", "two", "three", "fo\ufffdur"]


async def test_what_is_asked_for() -> None:
    """The primary container of the attempt's pod, the last lines, and what comes after them."""
    pods = Pods(RUNNING)
    pods.attempt = "flytesnacks/development/f1/n0/7/2"
    await read(pods, retry_attempt=2, item=7, lines=5, follow=True)
    path = "/api/v1/namespaces/flytesnacks-development/pods/f1-n0-7-2"
    assert pods.asked == [
        (path, {}),
        (f"{path}/log", {"container": "main", "follow": "true", "tailLines": "5"}),
    ]


async def test_who_follows_waits_for_the_beginning() -> None:
    """Others are told that there is nothing yet."""
    pods = Pods(WAITING, WAITING, {"name": "main", "state": {"terminated": {}}})
    assert (await read(pods, follow=True))[0] == "one"
    with pytest.raises(NotFoundError, match="f1/n0/0 has not begun"):
        await read(Pods(WAITING))


async def test_a_pod_that_is_gone_has_no_log() -> None:
    """The message says where else to look."""
    with pytest.raises(NotFoundError, match="has no pod in this cluster"):
        await read(Pods(), follow=True)


@pytest.mark.parametrize("attempt", ["", "flytesnacks/development/f1-n0/0"])
async def test_a_pod_of_somebody_else_is_not_read(attempt: str) -> None:
    """One that has the name of an attempt's pod: its log is not the control plane's to see."""
    pods = Pods(RUNNING)
    pods.attempt = attempt
    with pytest.raises(NotFoundError, match="f1/n0/0 has no pod in this cluster"):
        await read(pods)
    assert len(pods.asked) == 1


async def test_nobody_waits_for_what_has_ended() -> None:
    """A pod that was evicted before it began never has a log."""
    pods = Pods(WAITING)
    pods.phase = "Failed"
    async with asyncio.timeout(60):
        with pytest.raises(NotFoundError, match="has ended before it began"):
            await read(pods, follow=True)


async def test_a_line_without_an_end_is_told_in_parts() -> None:
    """Nothing is kept that grows with what a program prints."""
    told = await read(Pods(RUNNING, chunks=(b"x" * 50_000,) * 4))
    assert [len(part) for part in told] == [100_000, 100_000]
