"""Attempts as real pods: each starts once, ends as it ends, and leaves nothing when it is stopped."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.tasks_pb2 import Container, TaskTemplate

from flyteform_dataplane.engine.failures import FailureKind
from flyteform_dataplane.kubernetes.api import KubernetesApi, connect
from flyteform_dataplane.kubernetes.executor import PodExecutor
from flyteform_dataplane.kubernetes.profile import PodProfile
from flyteform_dataplane.kubernetes.requests import PodRequest
from flyteform_dataplane.kubernetes.states import Ended, Failed, Running, Waiting
from support.kubernetes import kubectl
from support.pods import amounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform_dataplane.kubernetes.states import PodState

PROFILE = PodProfile(cpu="50m", memory="64Mi", pod_security={"runAsNonRoot": True, "runAsUser": 65534})


class Watched:
    """What an executor tells of one attempt."""

    def __init__(self) -> None:
        self.states: list[PodState] = []
        self._changed = asyncio.Event()

    def __call__(self, state: PodState) -> None:
        """Take in a state."""
        self.states.append(state)
        self._changed.set()

    async def until(self, *kinds: type) -> PodState:
        """Wait for a state of one of these kinds."""
        async with asyncio.timeout(60):
            while True:
                found = next((state for state in self.states if isinstance(state, kinds)), None)
                if found is not None:
                    return found
                self._changed.clear()
                await self._changed.wait()


def request(name: str, code: str, memory: str = "64Mi") -> PodRequest:
    """Return an attempt that runs Python code in a pod."""
    task = TaskTemplate(type="python-task", container=Container(image="localhost/python:test"))
    task.container.resources.limits.extend(amounts(MEMORY=memory))
    return PodRequest(name, "default", task, ("python3", "-c", code), (), {})


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    """Connect as the administrator."""
    async with connect(Path(os.environ["KUBECONFIG"])) as connected:
        yield connected


@pytest.fixture
async def executor(api: KubernetesApi) -> AsyncIterator[PodExecutor]:
    """Run an executor; its pods are deleted afterwards."""
    running = PodExecutor(api, PROFILE)
    await running.open()
    yield running
    await running.close()
    kubectl("delete", "pods", "--selector=app.kubernetes.io/managed-by=flyteform", "--now", "--wait=false")


async def test_attempts_run_and_end(executor: PodExecutor) -> None:
    """Success, an error and too much memory are told apart."""
    seen = {name: Watched() for name in ("good", "bad", "big")}
    executor.start(request("f1/good/0/0", "print(1)"), seen["good"])
    executor.start(request("f1/bad/0/0", "raise SystemExit(3)"), seen["bad"])
    executor.start(request("f1/big/0/0", "b'x' * 10**9"), seen["big"])
    good, bad, big = [await seen[name].until(Ended, Failed) for name in ("good", "bad", "big")]
    assert isinstance(good, Ended)
    assert good.exit_code == 0
    assert isinstance(bad, Ended)
    assert bad.exit_code == 3
    assert isinstance(big, Failed)
    assert (big.failure.code, big.failure.kind) == ("OOMKilled", FailureKind.USER)


async def test_an_executor_takes_over_what_runs(api: KubernetesApi, executor: PodExecutor) -> None:
    """After a crash the attempt's pod is found as it is: nothing is started twice."""
    first, again = Watched(), Watched()
    attempt = request("f2/n0/0/0", "import time; time.sleep(3)")
    executor.start(attempt, first)
    await first.until(Running)
    await executor.close()
    successor = PodExecutor(api, PROFILE)
    await successor.open()
    try:
        successor.start(attempt, again)
        assert isinstance(await again.until(Ended, Failed), Ended)
    finally:
        await successor.close()
    pod = await api.get("/api/v1/namespaces/default/pods/f2-n0-0-0")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0


async def test_stopping_leaves_nothing(api: KubernetesApi, executor: PodExecutor) -> None:
    """Returned from a stop, the pod is gone."""
    seen = Watched()
    attempt = request("f3/n0/0/0", "import time; time.sleep(1000)")
    executor.start(attempt, seen)
    await seen.until(Running)
    await executor.stop(attempt)
    pods = await api.get("/api/v1/namespaces/default/pods")
    assert "f3-n0-0-0" not in [pod["metadata"]["name"] for pod in pods["items"]]
    assert not any(isinstance(state, Ended | Failed) for state in seen.states)


async def test_a_pod_that_somebody_deletes(executor: PodExecutor) -> None:
    """It is the platform's failure, and another attempt may follow."""
    seen = Watched()
    executor.start(request("f4/n0/0/0", "import time; time.sleep(1000)"), seen)
    await seen.until(Running)
    kubectl("delete", "pod", "f4-n0-0-0", "--now", "--wait=false")
    end = await seen.until(Ended, Failed)
    assert isinstance(end, Failed)
    assert (end.failure.kind, end.failure.recoverable) == (FailureKind.SYSTEM, True)


async def test_a_full_namespace_is_waited_for(executor: PodExecutor) -> None:
    """A quota that is used up is no error: the attempt starts when there is room."""
    seen = Watched()
    kubectl("create", "quota", "full", "--hard=pods=0")
    try:
        executor.start(request("f5/n0/0/0", "print(1)"), seen)
        await seen.until(Waiting)
    finally:
        kubectl("delete", "quota", "full")
    assert isinstance(await seen.until(Ended, Failed), Ended)


async def test_a_pod_that_kubernetes_refuses(executor: PodExecutor) -> None:
    """What is wrong with it is said as Kubernetes says it, and no other attempt follows."""
    seen = Watched()
    attempt = request("f6/n0/0/0", "print(1)")
    attempt.task.container.image = ""
    executor.start(attempt, seen)
    end = await seen.until(Ended, Failed)
    assert isinstance(end, Failed)
    assert "image: Required value" in end.failure.message
    assert not end.failure.recoverable
