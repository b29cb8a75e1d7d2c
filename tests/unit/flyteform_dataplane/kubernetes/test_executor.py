"""What an executor does about its pods, whatever becomes of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import kubernetes_validate
import pytest
from flyteidl.core.tasks_pb2 import DataLoadingConfig
from flyteidl.core.types_pb2 import SimpleType
from hypothesis import given
from hypothesis import strategies as st

from flyteform_dataplane.engine.failures import FailureKind
from flyteform_dataplane.kubernetes.executor import PodExecutor
from flyteform_dataplane.kubernetes.profile import Copilot, LogLink, PodProfile
from flyteform_dataplane.ports import AttemptPhase, Copying
from support.attempts import until
from support.fake_cluster import FakeCluster
from support.pods import CREATED, container_task, ended, request, waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.ports import AttemptUpdate, PodRequest
    from support.pods import Json

POD = "/api/v1/namespaces/flytesnacks-development/pods/f1-n0-0"
NAME = "flytesnacks/development/f1/n0/0"
LINK = LogLink("Logs", ("https://logs/{{ .namespace }}/{{.podName}}/{{ .containerId }}",))
PROFILE = PodProfile(copilot=Copilot(image="copilot:1"), log_links=(LINK,))
LABELS = {"execution-id": "f1"}
EXIT = "flyteform.dev/primary-exit-code"


class World:
    """A cluster, an executor, and what that tells."""

    def __init__(self, profile: PodProfile = PROFILE) -> None:
        self.cluster = FakeCluster()
        self.now = datetime.fromisoformat(CREATED)
        self.profile = profile
        self.executor = self.another()
        self.updates: list[AttemptUpdate] = []

    def another(self) -> PodExecutor:
        """Make an executor of the same cluster."""
        return PodExecutor(cast("KubernetesApi", self.cluster), self.profile, now=lambda: self.now)

    async def start(self, wanted: PodRequest | None = None) -> None:
        """Start the attempt and wait for its pod."""
        await self.executor.start(wanted or request(labels=LABELS), self.updates.append)
        await until(lambda: POD in self.cluster.objects)

    def status(self, phase: str, *containers: Json, **fields: object) -> None:
        """Be the kubelet that writes the pod's status; `main` is the primary container."""
        named = [{**one, "name": "f1-n0-0" if one["name"] == "main" else one["name"]} for one in containers]
        self.cluster.set(POD, {"status": {"phase": phase, "containerStatuses": named, **fields}})

    async def end(self) -> AttemptUpdate:
        """Wait until the attempt is over."""
        await until(lambda: self.updates and self.updates[-1].phase is AttemptPhase.EXITED)
        return self.updates[-1]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Make one with an open executor."""
    made = World()
    await made.executor.open()
    yield made
    await made.executor.close()


def raw() -> PodRequest:
    """Return a request for a raw container with an output."""
    task = container_task()
    task.interface.outputs.variables["m"].type.simple = SimpleType.INTEGER
    copying = Copying(DataLoadingConfig(enabled=True), task.interface.outputs, "s3://i", "s3://o", "s3://r")
    return request(task, copying=copying)


def running(name: str = "main") -> Json:
    """Return the status of a container that runs."""
    return {"name": name, "containerID": "containerd://abc", "state": {"running": {"startedAt": CREATED}}}


async def test_links_of_logs_are_told(world: World) -> None:
    """Every update names where people read what the container prints."""
    await world.start()
    world.status("Running", running())
    await until(lambda: world.updates)
    assert world.updates[0].log_uri == "Logs\thttps://logs/flytesnacks-development/f1-n0-0/abc"
    world.status("Succeeded", {**ended(), "containerID": "containerd://abc"})
    assert (await world.end()).log_uri == world.updates[0].log_uri


async def test_outputs_are_copied_before_the_end(world: World) -> None:
    """The uploader is told of a success, and only when it is done is the attempt."""
    await world.start(raw())
    world.status("Running", ended(), running("flyte-copilot-uploader"))
    await until(lambda: world.cluster.objects[POD]["metadata"]["annotations"].get(EXIT) == "0")
    assert [update.phase for update in world.updates] == [AttemptPhase.RUNNING]
    world.status("Succeeded", ended(), ended("flyte-copilot-uploader"))
    assert (await world.end()).exit_code == 0


async def test_nothing_is_copied_for_a_failure(world: World) -> None:
    """The uploader is told of the exit code and ended with the rest of the pod."""
    await world.start(raw())
    world.status("Running", ended(code=3), running("flyte-copilot-uploader"))
    assert (await world.end()).exit_code == 3
    assert world.cluster.objects[POD]["metadata"]["annotations"][EXIT] == "3"
    assert world.cluster.objects[POD]["spec"]["activeDeadlineSeconds"] == 1


async def test_a_copy_that_fails_is_the_platforms(world: World) -> None:
    """Another attempt may follow, which costs the user no retry."""
    await world.start(raw())
    world.status("Failed", ended(), ended("flyte-copilot-uploader", code=1, message="no bucket"))
    failure = (await world.end()).failure
    assert failure is not None
    assert (failure.code, failure.kind, failure.recoverable) == ("CopyingFailed", FailureKind.SYSTEM, True)
    assert "no bucket" in failure.message


async def test_containers_that_outlive_the_primary_one_are_ended(world: World) -> None:
    """The attempt's end stays what it was when the deadline has ended the others."""
    await world.start()
    world.status("Running", ended(), running("logger"))
    assert (await world.end()).exit_code == 0
    world.status("Failed", ended(), ended("logger", code=137), reason="DeadlineExceeded")
    successor, seen = world.another(), list[object]()
    await successor.open()
    await successor.start(request(), seen.append)
    await successor.close()
    assert [update.exit_code for update in cast("list[AttemptUpdate]", seen)] == [0]


async def test_a_pod_that_has_ended_is_left_alone(world: World) -> None:
    """Its phase may follow its containers: nothing has to be said to it meanwhile."""
    await world.start()
    world.status("Running", ended(code=2))
    assert (await world.end()).exit_code == 2
    assert [call for call, _ in world.cluster.calls] == ["create"]


async def test_a_pod_that_failed_before_it_began_never_begins(world: World) -> None:
    """Its image may come later: by then the next attempt runs, so the pod is gone before its end is told."""
    await world.start()
    world.status("Pending", waiting("InvalidImageName", "no such name"))
    failure = (await world.end()).failure
    assert failure is not None
    assert failure.code == "ContainersNotReady|InvalidImageName"
    assert POD not in world.cluster.objects


async def test_patience_ends_by_itself(world: World) -> None:
    """A pod to which nothing happens is looked at again when its time is over."""
    await world.start()
    world.now += timedelta(minutes=3) - timedelta(milliseconds=20)
    world.status("Pending", waiting("ImagePullBackOff", "no such image"))
    await until(lambda: world.cluster.objects[POD]["status"].get("containerStatuses"))
    world.now += timedelta(milliseconds=20)
    failure = (await world.end()).failure
    assert failure is not None
    assert failure.code == "ContainersNotReady|ImagePullBackOff"


async def test_a_pod_that_does_not_go_has_lost_its_node(world: World) -> None:
    """A minute after the end of its grace period another attempt begins."""
    await world.start()
    world.status("Running", running())
    world.now = datetime(2026, 1, 1, 0, 1, 59, 980000, tzinfo=UTC)
    world.cluster.set(POD, {"metadata": {"deletionTimestamp": "2026-01-01T00:01:00Z"}})
    await until(lambda: world.updates)
    assert world.updates[-1].phase is AttemptPhase.RUNNING
    world.now += timedelta(milliseconds=20)
    failure = (await world.end()).failure
    assert failure is not None
    assert (failure.code, failure.kind) == ("Interrupted", FailureKind.SYSTEM)


async def test_an_end_is_told_again(world: World) -> None:
    """Who starts an attempt again that is over is told so, and no other pod is made."""
    await world.start()
    world.status("Failed", ended(code=4))
    first = await world.end()
    world.cluster.remove(POD)
    await world.executor.start(request(), world.updates.append)
    assert world.updates[-1] == first
    assert [call for call, _ in world.cluster.calls] == ["create"]


async def test_a_forgotten_execution_begins_anew(world: World) -> None:
    """Its pods are gone, and so is what was known of their ends."""
    await world.start()
    world.status("Failed", ended(code=4))
    await world.end()
    await world.executor.forget("flytesnacks/development/f1")
    assert POD not in world.cluster.objects
    await world.start()


async def test_a_finalizer_keeps_a_pod_until_its_end_was_seen() -> None:
    """Who deletes a pod has it gone when the attempt is judged, by its last state; other finalizers stay."""
    world = World(replace(PROFILE, inject_finalizer=True))
    await world.executor.open()
    await world.start()
    metadata = {"deletionTimestamp": "2026-01-01T00:00:30Z", "finalizers": ["other/one", "flyte.org/finalizer"]}
    world.cluster.set(POD, {"metadata": metadata})
    world.status("Succeeded", ended())
    assert (await world.end()).exit_code == 0
    await until(lambda: world.cluster.objects[POD]["metadata"]["finalizers"] == ["other/one"])
    await world.executor.close()


@pytest.mark.parametrize("finalizer", [False, True])
async def test_a_stopped_attempt_leaves_nothing(finalizer: bool) -> None:
    """Also if a finalizer of ours keeps its pod; without one that is a single request."""
    world = World(replace(PROFILE, inject_finalizer=finalizer))
    await world.executor.open()
    await world.start()
    await world.executor.stop(NAME)
    assert POD not in world.cluster.objects
    assert world.updates == []
    assert [call for call, _ in world.cluster.calls] == ["create", "delete", *(["patch"] if finalizer else [])]
    await world.executor.close()


async def test_a_pod_belongs_to_its_execution() -> None:
    """Kubernetes removes it with the execution's resource."""
    world = World()
    world.executor = PodExecutor(cast("KubernetesApi", world.cluster), PROFILE, owner={NAME[:-5]: "u1"}.__getitem__)
    await world.executor.open()
    await world.start()
    (owner,) = world.cluster.objects[POD]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("FlyteWorkflow", "f1", "u1")
    kubernetes_validate.validate(world.cluster.objects[POD] | {"status": {}}, "1.36", strict=True)
    await world.executor.close()


async def test_the_clusters_template_is_merged_in() -> None:
    """A template of the task's own namespace goes before the one that serves all; one that is not there is refused."""
    world = World(replace(PROFILE, default_pod_template_name="all", pod_template_namespace="flyteform"))
    for namespace, priority in (("flyteform", "low"), ("flytesnacks-development", "high")):
        template = {"metadata": {"name": "all"}, "template": {"spec": {"priorityClassName": priority}}}
        await world.cluster.create(f"/api/v1/namespaces/{namespace}/podtemplates", template)
    await world.executor.open()
    other = POD.replace("development", "staging")
    await world.start()
    await world.executor.start(request(name=NAME.replace("development", "staging")), world.updates.append)
    await until(lambda: other in world.cluster.objects)
    priorities = [world.cluster.objects[path]["spec"]["priorityClassName"] for path in (POD, other)]
    assert priorities == ["high", "low"]
    task = container_task()
    task.metadata.pod_template_name = "none"
    await world.executor.start(request(task, name="flytesnacks/development/f1/n1/0"), world.updates.append)
    failure = (await world.end()).failure
    assert failure is not None
    assert "names the pod template 'none'" in failure.message
    await world.executor.close()


@pytest.mark.parametrize("every", [True, False])
async def test_pods_of_an_execution_that_is_over(*, every: bool) -> None:
    """One that has ended stays for people to look at, unless the cluster wants none to be kept."""
    world = World(replace(PROFILE, delete_resource_on_finalize=every))
    await world.executor.open()
    await world.start()
    world.status("Succeeded", ended())
    await world.end()
    async with asyncio.timeout(60):
        await world.executor.end("flytesnacks/development/f1")
    assert (POD in world.cluster.objects) is not every
    await world.executor.close()


HAPPENINGS: dict[str, Callable[[World], object]] = {
    "runs": lambda world: world.status("Running", running()),
    "succeeds": lambda world: world.status("Succeeded", ended()),
    "fails": lambda world: world.status("Failed", ended(code=3)),
    "is outlived": lambda world: world.status("Running", ended(), running("beside")),
    "has no image": lambda world: world.status("Pending", waiting("InvalidImageName")),
    "is deleted": lambda world: world.cluster.remove(POD),
}


async def live(happenings: list[str]) -> list[list[AttemptUpdate]]:
    """Let all that happen to an attempt's pod, and at last its success; return what each executor has told."""
    world, lives = World(), []
    await world.executor.open()
    await world.start()
    for happening in [*happenings, "succeeds"]:
        if happening in ("is started again", "loses its operator"):
            if happening == "loses its operator":
                await world.executor.close()
                lives.append(world.updates)
                world.updates, world.executor = [], world.another()
                await world.executor.open()
            await world.executor.start(request(labels=LABELS), world.updates.append)
        elif POD in world.cluster.objects:
            HAPPENINGS[happening](world)
        for _ in range(30):  # each change goes through an informer, a task and a request
            await asyncio.sleep(0)
    await world.end()
    await world.executor.close()
    made, went = (sum(call == kind for call, _ in world.cluster.calls) for kind in ("create", "delete"))
    assert made <= 1 + went + happenings.count("is deleted")
    return [*lives, world.updates]


@given(st.lists(st.sampled_from([*HAPPENINGS, "is started again", "loses its operator"]), max_size=7))
def test_whatever_happens_an_end_is_told_once_and_stays(happenings: list[str]) -> None:
    """Nothing follows an end but the same end, to one who asks again; no pod is made while there is one."""
    for told in asyncio.run(live(happenings)):
        ends = [update for update in told if update.phase is AttemptPhase.EXITED]
        assert all(end == ends[0] for end in ends)
        phases = [update.phase for update in told]
        assert AttemptPhase.RUNNING not in phases[phases.index(AttemptPhase.EXITED) :] if ends else True


async def test_a_pod_that_only_says_it_is_the_attempts_is_not_believed(world: World) -> None:
    """Whoever may make pods somewhere may write any annotation: neither its end nor its going is the attempt's."""
    await world.start()
    world.status("Running", running())
    await until(lambda: len(world.updates) == 1)
    theirs = "/api/v1/namespaces/elsewhere/pods/f1-n0-0"
    metadata = {**world.cluster.objects[POD]["metadata"], "name": "f1-n0-0"}
    for name in ("namespace", "uid", "resourceVersion", "finalizers"):
        metadata.pop(name, None)
    await world.cluster.create(theirs.rpartition("/")[0], {"metadata": metadata, "spec": {}})
    world.cluster.set(theirs, {"status": {"phase": "Succeeded"}})
    world.cluster.remove(theirs)
    world.status("Succeeded", {**ended(code=0), "containerID": "containerd://abc"})
    assert (await world.end()).exit_code == 0
    assert len(world.updates) == 2


async def test_what_is_usual_is_told_when_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing at first; what a pod has waited for all the time after a while, once, and then what comes of it."""
    monkeypatch.setattr("flyteform_dataplane.kubernetes.executor._SWEEP_PAUSE", 0.05)
    world = World()
    await world.executor.open()
    await world.start()
    world.status("Pending", waiting("ContainerCreating"), conditions=[{"type": "PodScheduled", "status": "True"}])
    await until(lambda: world.updates)
    await asyncio.sleep(0.2)
    told = [(update.phase, update.reason) for update in world.updates]
    assert told == [(AttemptPhase.INITIALIZING, "its containers are being made")]
    world.status("Running", running())
    await until(lambda: len(world.updates) > 1)
    assert world.updates[1].phase is AttemptPhase.RUNNING
    await asyncio.sleep(0.2)
    assert len(world.updates) == 2
    await world.executor.close()


async def test_reasons_that_come_and_go_are_told_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every node that is looked at another one: people are told of the first, and of the one that lasts."""
    monkeypatch.setattr("flyteform_dataplane.kubernetes.executor._SWEEP_PAUSE", 0.05)
    world = World()
    world.now += timedelta(minutes=10)
    await world.executor.open()
    await world.start()
    reasons = ("1 Insufficient cpu", "2 Insufficient cpu", "Insufficient memory", "a taint", "a taint of another")
    for reason in reasons:
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": reason}
        world.status("Pending", conditions=[{**condition, "lastTransitionTime": CREATED}])
        for _ in range(5):
            await asyncio.sleep(0)
    await until(lambda: world.updates)
    await asyncio.sleep(0.2)
    assert [update.reason for update in world.updates] == ["Unschedulable: 1 Insufficient cpu"]
    world.now += timedelta(minutes=1)
    await until(lambda: len(world.updates) > 1)
    await asyncio.sleep(0.2)
    assert [update.reason for update in world.updates[1:]] == ["Unschedulable: a taint of another"]
    await world.executor.close()
