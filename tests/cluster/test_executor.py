"""Attempts as real pods: each starts once, ends as it ends, and leaves nothing when it is stopped."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from flyteidl.core.tasks_pb2 import Container, K8sPod, TaskTemplate
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from flyteform.errors import NotFoundError
from flyteform.proto.flyteform.v1.link_pb2 import TailLogs
from flyteform_dataplane.engine.failures import FailureKind
from flyteform_dataplane.kubernetes.api import KubernetesApi, connect
from flyteform_dataplane.kubernetes.executor import PodExecutor
from flyteform_dataplane.kubernetes.podlogs import PodLogs
from flyteform_dataplane.kubernetes.profile import GracePeriods, PodProfile
from flyteform_dataplane.ports import AttemptPhase, PodRequest
from support.kubernetes import get, kubectl, quota
from support.pods import amounts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from flyteform_dataplane.ports import AttemptUpdate

NAMESPACE = "flytesnacks-development"
EXITED = AttemptPhase.EXITED
FOR_EVER = "import time; time.sleep(1000)"
PROFILE = PodProfile(
    cpu="50m",
    memory="64Mi",
    pod_security={"runAsNonRoot": True, "runAsUser": 65534},
    termination_grace_seconds=1,
)


class Watched:
    """What an executor tells of one attempt."""

    def __init__(self) -> None:
        self.updates: dict[AttemptPhase, AttemptUpdate] = {}
        self._changed = asyncio.Event()

    def __call__(self, update: AttemptUpdate) -> None:
        """Take in an update; that it runs, and its end, are told once."""
        assert update.phase not in self.updates or update.phase not in (AttemptPhase.RUNNING, EXITED)
        self.updates[update.phase] = update
        self._changed.set()

    async def until(self, phase: AttemptPhase) -> AttemptUpdate:
        """Wait for an update of this phase."""
        async with asyncio.timeout(60):
            while phase not in self.updates:
                self._changed.clear()
                await self._changed.wait()
            return self.updates[phase]


def request(name: str, code: str, memory: str = "64Mi") -> PodRequest:
    """Return an attempt that runs Python code in a pod."""
    task = TaskTemplate(type="python-task", container=Container(image="localhost/python:test"))
    task.container.resources.limits.extend(amounts(MEMORY=memory))
    labels = {"execution-id": name.partition("/")[0]}
    return PodRequest(f"flytesnacks/development/{name}", task, ("python3", "-c", code), (), {}, labels)


@pytest.fixture(scope="module", autouse=True)
def _namespace() -> Iterator[None]:
    """Make the namespace of the attempts, and remove it afterwards with all that is left in it."""
    kubectl("create", "namespace", NAMESPACE)
    yield
    kubectl("delete", "namespace", NAMESPACE)


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
    kubectl("delete", "pods", "--all", f"--namespace={NAMESPACE}", "--now", "--wait=false")


async def test_attempts_run_and_end(executor: PodExecutor) -> None:
    """Success, an error and too much memory are told apart."""
    codes = {"good": "print(1)", "bad": "raise SystemExit(3)", "big": "b'x' * 10**9"}
    seen = {name: Watched() for name in codes}
    for name, code in codes.items():
        await executor.start(request(f"f1/{name}/0", code), seen[name])
    good, bad, big = [await seen[name].until(EXITED) for name in codes]
    assert (good.exit_code, good.failure) == (0, None)
    assert (bad.exit_code, bad.failure) == (3, None)
    assert big.failure is not None
    assert (big.failure.code, big.failure.kind) == ("OOMKilled", FailureKind.USER)


async def test_an_executor_takes_over_what_runs(api: KubernetesApi, executor: PodExecutor) -> None:
    """After a crash the attempt's pod is found as it is: nothing is started twice."""
    first, again = Watched(), Watched()
    attempt = request("f2/n0/0", "import time; time.sleep(3)")
    await executor.start(attempt, first)
    await first.until(AttemptPhase.RUNNING)
    uid = get("pod", "f2-n0-0", NAMESPACE)["metadata"]["uid"]
    await executor.close()
    successor = PodExecutor(api, PROFILE)
    await successor.open()
    try:
        await successor.start(attempt, again)
        assert (await again.until(EXITED)).exit_code == 0
    finally:
        await successor.close()
    assert get("pod", "f2-n0-0", NAMESPACE)["metadata"]["uid"] == uid


async def test_stopping_leaves_nothing(executor: PodExecutor) -> None:
    """Returned from a stop, the pod is gone, and its end was nobody's news."""
    seen = Watched()
    attempt = request("f3/n0/0", FOR_EVER)
    await executor.start(attempt, seen)
    await seen.until(AttemptPhase.RUNNING)
    await executor.stop(attempt.name)
    assert "f3-n0-0" not in kubectl("get", "pods", "--output=name", f"--namespace={NAMESPACE}")
    assert EXITED not in seen.updates


async def test_forgetting_an_execution_deletes_its_pods(api: KubernetesApi, executor: PodExecutor) -> None:
    """Those of another life of the operator too; other executions go on."""
    seen = [Watched(), Watched(), Watched()]
    for name, watched in zip(("f7/n0/0", "f7/n1/0", "f77/n0/0"), seen, strict=True):
        await executor.start(request(name, FOR_EVER), watched)
    for watched in seen:
        await watched.until(AttemptPhase.RUNNING)
    stranger = PodExecutor(api, PROFILE)
    await stranger.forget("flytesnacks/development/f7")
    gone = ("wait", "pods", "--for=delete", f"--namespace={NAMESPACE}", "--timeout=60s")
    await asyncio.to_thread(kubectl, *gone, "--selector=execution-id=f7")
    assert get("pod", "f77-n0-0", NAMESPACE)["status"]["phase"] == "Running"


async def test_a_pod_that_somebody_deletes(executor: PodExecutor) -> None:
    """It is the platform's failure, and another attempt may follow."""
    seen = Watched()
    await executor.start(request("f4/n0/0", FOR_EVER), seen)
    await seen.until(AttemptPhase.RUNNING)
    kubectl("delete", "pod", "f4-n0-0", f"--namespace={NAMESPACE}", "--now", "--wait=false")
    end = await seen.until(EXITED)
    assert end.failure is not None
    assert (end.failure.kind, end.failure.recoverable) == (FailureKind.SYSTEM, True)


async def test_a_full_namespace_is_waited_for(executor: PodExecutor) -> None:
    """A quota that is used up is no error: it is told, and the attempt starts when there is room."""
    seen = Watched()
    with quota("full", NAMESPACE, {"pods": "0"}):
        await executor.start(request("f5/n0/0", "print(1)"), seen)
        told = await seen.until(AttemptPhase.WAITING_FOR_RESOURCES)
        assert f"namespace {NAMESPACE} has no room for the pod" in told.reason
    assert (await seen.until(EXITED)).exit_code == 0
    assert seen.updates.keys() & {AttemptPhase.QUEUED, AttemptPhase.INITIALIZING}


async def test_a_task_that_never_fits(executor: PodExecutor) -> None:
    """What is more than all that the quota gives would wait for ever, so it fails with that quota's name."""
    seen = Watched()
    with quota("small", NAMESPACE, {"limits.memory": "32Mi"}):
        await executor.start(request("f11/n0/0", "print(1)"), seen)
        end = await seen.until(EXITED)
    assert end.failure is not None
    assert (end.failure.code, end.failure.recoverable) == ("ResourceRequestsExceedLimits", False)
    assert "quota small" in end.failure.message


async def test_a_secret_that_is_not_there(executor: PodExecutor) -> None:
    """A pod that names one for its environment never starts: the user is told which, and where to make it."""
    seen = Watched()
    attempt = request("f10/n0/0", "print(1)")
    source = {"secretRef": {"name": "nothing"}}
    container = {"name": "main", "image": "localhost/python:test", "envFrom": [source]}
    pod = K8sPod(pod_spec=ParseDict({"containers": [container]}, Struct()), primary_container_name="main")
    await executor.start(replace(attempt, task=TaskTemplate(type="sidecar", k8s_pod=pod)), seen)
    end = await seen.until(EXITED)
    assert end.failure is not None
    assert end.failure.code == "ContainersNotReady|CreateContainerConfigError"
    assert (end.failure.kind, end.failure.recoverable) == (FailureKind.USER, False)
    assert f'secret "nothing" not found; make that secret in namespace {NAMESPACE}' in end.failure.message


async def test_a_pod_that_kubernetes_refuses(executor: PodExecutor) -> None:
    """What is wrong with it is said as Kubernetes says it, and no other attempt follows."""
    seen = Watched()
    attempt = request("f6/n0/0", "print(1)")
    attempt.task.container.image = ""
    await executor.start(attempt, seen)
    end = await seen.until(EXITED)
    assert end.failure is not None
    assert "image: Required value" in end.failure.message
    assert not end.failure.recoverable


async def test_an_image_that_never_comes(api: KubernetesApi) -> None:
    """When patience is over the pod is gone, so that it cannot begin beside the next attempt."""
    impatient = replace(PROFILE, grace=GracePeriods(image_pull_backoff=timedelta(0)))
    executor = PodExecutor(api, impatient)
    await executor.open()
    try:
        seen = Watched()
        attempt = request("f8/n0/0", "print(1)")
        attempt.task.container.image = "localhost/no-such-image:1"
        await executor.start(attempt, seen)
        end = await seen.until(EXITED)
    finally:
        await executor.close()
    assert end.failure is not None
    assert (end.failure.code, end.failure.recoverable) == ("ContainersNotReady|ImagePullBackOff", True)
    gone = ("wait", "pod/f8-n0-0", "--for=delete", f"--namespace={NAMESPACE}", "--timeout=60s")
    await asyncio.to_thread(kubectl, *gone)


async def test_logs_are_followed(api: KubernetesApi, executor: PodExecutor) -> None:
    """From before the pod begins until its program ends; afterwards the last lines are there still."""
    code = "import time\nfor i in range(5): print('line', i, flush=True); time.sleep(0.2)"
    name = WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name="f9")
    await executor.start(request("f9/n0/0", code), Watched())
    logs = PodLogs(api, pause=0.1)
    async with asyncio.timeout(60):
        while not get_or_none("f9-n0-0"):
            await asyncio.to_thread(kubectl, "version")
        question = TailLogs(execution=name, node_id="n0", follow=True)
        followed = [line async for lines in logs.tail(question) for line in lines]
    assert followed == [f"line {number}" for number in range(5)]
    last = TailLogs(execution=name, node_id="n0", lines=2)
    assert [line async for lines in logs.tail(last) for line in lines] == ["line 3", "line 4"]
    with pytest.raises(NotFoundError, match="f9/n1/0 has no pod"):
        await anext(logs.tail(TailLogs(execution=name, node_id="n1")))


def get_or_none(pod: str) -> str:
    """Return a pod's name, if it is there."""
    return kubectl("get", "pod", pod, f"--namespace={NAMESPACE}", "--ignore-not-found", "--output=name")
