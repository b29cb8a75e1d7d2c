"""Pods that the API server does not take: what waits, what is tried again, and what is told at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from flyteform.errors import ConflictError, FlyteformError, InvalidInputError, NotFoundError, UnavailableError
from flyteform_dataplane.engine.failures import FailureKind
from flyteform_dataplane.kubernetes import making
from flyteform_dataplane.kubernetes.api import ForbiddenError, TooLargeError
from flyteform_dataplane.kubernetes.executor import PodExecutor
from flyteform_dataplane.kubernetes.profile import PodProfile
from flyteform_dataplane.ports import AttemptPhase
from support.attempts import until
from support.fake_cluster import FakeCluster
from support.pods import ended, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.ports import AttemptUpdate

Json = dict[str, Any]
POD = "/api/v1/namespaces/flytesnacks-development/pods/f1-n0-0"
NAME = "flytesnacks/development/f1/n0/0"
NAMESPACE = "flytesnacks-development"


class Picky(FakeCluster):
    """A cluster that refuses pods while it has an error to give."""

    def __init__(self) -> None:
        super().__init__()
        self.error: FlyteformError | None = None
        self.tries = 0
        self.refuses_to_delete = False
        self.loses_pods = False
        self.removed_on_get = ""
        self.answer: asyncio.Event | None = None

    async def create(self, path: str, body: Json, **query: str) -> Json:
        """Refuse, or create."""
        self.tries += 1
        if self.error is not None:
            raise self.error
        if self.loses_pods:
            return {"metadata": body["metadata"]}
        made = await super().create(path, body, **query)
        if self.answer is not None:
            await self.answer.wait()
            raise UnavailableError("the answer was lost")
        return made

    async def delete(self, path: str, body: Json | None = None) -> Json:
        """Refuse, or delete."""
        if self.refuses_to_delete:
            raise ForbiddenError("pods is forbidden")
        return await super().delete(path, body)

    async def get(self, path: str, read: object = None, /, **query: str) -> Json:
        """Return what there is, or find that it has just gone."""
        if path == self.removed_on_get:
            self.remove(path)
            self.removed_on_get = ""
        return await super().get(path, read, **query)


class World:
    """A cluster, an executor, and what that tells."""

    def __init__(self) -> None:
        self.cluster = Picky()
        self.executor = PodExecutor(cast("KubernetesApi", self.cluster), PodProfile())
        self.updates: list[AttemptUpdate] = []

    async def start(self, name: str = NAME) -> None:
        """Start the attempt."""
        await self.executor.start(request(name=name, labels={"execution-id": "f1"}), self.updates.append)

    def told(self) -> list[tuple[AttemptPhase, str]]:
        """Return what was told: phases and reasons."""
        return [(update.phase, update.reason) for update in self.updates]


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Make one with an open executor that has little patience."""
    monkeypatch.setattr(making, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(making, "_LONGEST_PAUSE", 0.02)
    monkeypatch.setattr("flyteform_dataplane.kubernetes.executor._CALM", timedelta(0))
    made = World()
    await made.executor.open()
    yield made
    await made.executor.close()


WAITS = AttemptPhase.WAITING_FOR_RESOURCES


def full(used: int, name: str = "q") -> str:
    """Return what Kubernetes says where a quota is used up."""
    return (
        f'Kubernetes refuses it: pods "p" is forbidden: exceeded quota: {name}, requested: pods=1, used: pods={used}, '
        "limited: pods=1"
    )


FULL = full(1)


async def test_a_full_namespace_is_waited_for(world: World) -> None:
    """A quota is no failure: people are told once, however often it is tried; with room it is made."""
    world.cluster.error = ForbiddenError(full(1))
    await world.start()
    await until(lambda: world.cluster.tries > 3)
    world.cluster.error = ForbiddenError(full(2))  # others come and go, which is no news
    await until(lambda: world.cluster.tries > 6)
    told = f"namespace {NAMESPACE} has no room for the pod: exceeded quota q, requested: pods=1, limited: pods=1"
    assert world.told() == [(WAITS, told)]
    world.cluster.error = ForbiddenError(full(2, name="other"))
    await until(lambda: len(world.updates) == 2)
    assert world.told()[1] == (WAITS, told.replace("quota q", "quota other"))
    world.cluster.error = None
    await until(lambda: len(world.updates) == 3)
    assert world.told()[2] == (AttemptPhase.QUEUED, "it waits for a node")


async def test_a_quota_that_is_not_counted_yet_is_waited_for(world: World) -> None:
    """One that was made just now refuses everything for a moment."""
    world.cluster.error = ForbiddenError('pods "p" is forbidden: status unknown for quota: q, resources: pods')
    await world.start()
    await until(lambda: world.updates)
    assert world.updates[0].phase is WAITS
    world.cluster.error = None
    await until(lambda: POD in world.cluster.objects)


async def test_many_pods_that_are_counted_at_once_are_tried_again(world: World) -> None:
    """Kubernetes calls it a conflict when others have changed the quota meanwhile, which is nobody's failure."""
    world.cluster.error = ConflictError(
        'Operation cannot be fulfilled on resourcequotas "q": the object has been modified'
    )
    await world.start()
    await until(lambda: world.cluster.tries > 2)
    world.cluster.error = None
    await until(lambda: POD in world.cluster.objects)
    assert world.updates == []


async def test_a_right_that_is_not_there_yet_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the task's failure; people are told when it lasts."""
    monkeypatch.setattr(making, "_USUAL_SILENCE", 0.05)
    world.cluster.error = ForbiddenError(
        'pods is forbidden: User "system:serviceaccount:a:b" cannot create resource "pods" in API group "" in the '
        'namespace "flytesnacks-development"'
    )
    await world.start()
    await until(lambda: world.updates)
    ((phase, reason),) = world.told()
    assert phase is AttemptPhase.QUEUED
    assert "no right to make pods in namespace flytesnacks-development" in reason
    world.cluster.error = None
    await until(lambda: POD in world.cluster.objects)


ACCOUNT = 'pods "p" is forbidden: error looking up service account n/a: serviceaccount "a" not found'


async def test_a_service_account_may_come_after_its_namespace(world: World) -> None:
    """What the platform makes for a new project is made one after the other, and costs nobody a retry."""
    world.cluster.error = ForbiddenError(ACCOUNT)
    await world.start()
    await until(lambda: world.cluster.tries > 2)
    world.cluster.error = None
    await until(lambda: POD in world.cluster.objects)
    assert world.updates == []


async def test_a_service_account_that_does_not_come_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the end it is the refusal that it was, as in Flyte."""
    monkeypatch.setattr(making, "_COMING", 0.1)
    world.cluster.error = ForbiddenError(ACCOUNT)
    await world.start()
    await until(lambda: world.updates)
    failure = world.updates[-1].failure
    assert failure is not None
    assert (failure.code, failure.kind, failure.recoverable) == ("RuntimeFailure", FailureKind.USER, True)
    assert 'serviceaccount "a" not found' in failure.message


@pytest.mark.parametrize(
    ("wanted", "limited", "never"),
    [
        ("requests.cpu=8,requests.memory=1Gi", "requests.cpu=4,requests.memory=2Gi", True),
        ("requests.cpu=500m", "requests.cpu=0.4", True),
        ("memory=2Gi", "memory=1500Mi", True),
        ("requests.nvidia.com/gpu=2", "requests.nvidia.com/gpu=1", True),
        ("requests.cpu=4", "requests.cpu=4", False),
        ("requests.cpu=4", "requests.cpu=0", False),  # a namespace that somebody has closed for a while
        ("pods=1", "pods=0", False),
        ("requests.cpu=odd", "requests.cpu=4", False),
    ],
)
async def test_what_never_fits_is_told_at_once(world: World, wanted: str, limited: str, never: bool) -> None:
    """A task that asks for more than its namespace may have at all would wait for ever: it fails, as in Flyte."""
    world.cluster.error = ForbiddenError(f"exceeded quota: q, requested: {wanted}, used: {wanted}, limited: {limited}")
    await world.start()
    await until(lambda: world.updates)
    if not never:
        assert world.updates[0].phase is WAITS
        return
    failure = world.updates[0].failure
    assert failure is not None
    assert (failure.code, failure.kind, failure.recoverable) == (
        "ResourceRequestsExceedLimits",
        FailureKind.USER,
        False,
    )
    assert (
        f"more than all that namespace flytesnacks-development may have: quota q, requested: {wanted}"
        in failure.message
    )


async def test_room_is_taken_when_a_pod_has_gone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for it does not wait for the end of a long pause."""
    other = "flytesnacks/development/f1/n1/0"
    await world.start(other)
    await until(lambda: POD.replace("n0", "n1") in world.cluster.objects)
    monkeypatch.setattr(making, "_FIRST_PAUSE", 3600.0)
    world.cluster.error = ForbiddenError(full(1))
    await world.start()
    await until(lambda: any(update.phase is WAITS for update in world.updates))
    world.cluster.error = None
    world.cluster.remove(POD.replace("n0", "n1"))
    await until(lambda: POD in world.cluster.objects)


async def test_a_pod_that_went_while_it_was_looked_at_is_made(world: World) -> None:
    """There was one of its name, and then there was none: it is asked for again."""
    theirs = {"metadata": {"name": "f1-n0-0", "annotations": {}}, "spec": {}}
    await world.cluster.create(POD.rpartition("/")[0], theirs)
    world.cluster.removed_on_get = POD
    await world.start()
    await until(lambda: "labels" in world.cluster.objects.get(POD, {"metadata": {}})["metadata"])
    assert world.updates == []


async def test_a_pod_of_somebody_else_is_not_deleted(world: World) -> None:
    """An attempt that is stopped takes only its own with it, and does not wait for another's end."""
    for labels in ({}, {"app.kubernetes.io/managed-by": "flyteform"}):
        world.cluster.objects.pop(POD, None)
        theirs = {
            "metadata": {"name": "f1-n0-0", "annotations": {"flyteform.dev/attempt": "a/b/c/d/0"}, "labels": labels}
        }
        await world.cluster.create(POD.rpartition("/")[0], {**theirs, "spec": {}})
        await world.start()
        await until(lambda: world.updates)
        async with asyncio.timeout(60):
            await world.executor.stop(NAME)
        assert POD in world.cluster.objects
        world.updates.clear()


async def test_an_answer_that_comes_after_the_pod_has_gone(world: World) -> None:
    """The attempt is over by then: no other pod of it is made, which nobody would watch."""
    world.cluster.answer = asyncio.Event()
    await world.start()
    await until(lambda: POD in world.cluster.objects)
    await until(lambda: world.cluster.watches)
    world.cluster.remove(POD)
    await until(lambda: world.updates)
    assert world.updates[-1].failure is not None
    assert world.updates[-1].failure.code == "ResourceDeletedExternally"
    tries = world.cluster.tries
    world.cluster.answer.set()
    await asyncio.sleep(0.1)
    assert (world.cluster.tries, POD in world.cluster.objects) == (tries, False)


async def test_what_waits_for_room_can_be_stopped(world: World) -> None:
    """An abort does not wait for room, and makes no pod later."""
    world.cluster.error = ForbiddenError(FULL)
    await world.start()
    await until(lambda: world.cluster.tries > 1)
    async with asyncio.timeout(60):
        await world.executor.stop(NAME)
    world.cluster.error = None
    tries = world.cluster.tries
    await asyncio.sleep(0.05)
    assert (world.cluster.tries, len(world.updates), POD in world.cluster.objects) == (tries, 1, False)


async def test_what_waits_for_room_is_handed_over(world: World) -> None:
    """A pod that is not made yet is not made by somebody who has given the execution up."""
    world.cluster.error = ForbiddenError(FULL)
    await world.start()
    await until(lambda: world.cluster.tries > 1)
    await world.executor.release("flytesnacks/development/f1")
    world.cluster.error = None
    tries = world.cluster.tries
    await asyncio.sleep(0.05)
    assert (world.cluster.tries, POD in world.cluster.objects) == (tries, False)


REFUSALS: dict[str, tuple[FlyteformError, tuple[str, FailureKind, bool]]] = {
    "pod security": (ForbiddenError('violates PodSecurity "restricted"'), ("RuntimeFailure", FailureKind.USER, True)),
    "a webhook": (ForbiddenError("admission webhook x denied it"), ("RuntimeFailure", FailureKind.USER, True)),
    "a namespace that goes": (ForbiddenError("is being terminated"), ("RuntimeFailure", FailureKind.USER, True)),
    "no pod": (InvalidInputError("image: Required value"), ("BadTaskSpecification", FailureKind.USER, False)),
    "too large": (TooLargeError("limit is 3145728"), ("EntityTooLarge", FailureKind.USER, False)),
    "no namespace": (NotFoundError('namespaces "n" not found'), (NotFoundError("").code, FailureKind.SYSTEM, True)),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_refusal_is_told_with_its_reason(world: World, case: str) -> None:
    """Each with Flyte's code where Flyte has one, Kubernetes' own sentence, and whether to try again."""
    error, expected = REFUSALS[case]
    world.cluster.error = error
    await world.start()
    await until(lambda: world.updates)
    failure = world.updates[-1].failure
    assert failure is not None
    assert (failure.code, failure.kind, failure.recoverable) == expected
    assert error.message in failure.message
    assert world.cluster.tries == 1


async def test_a_pod_of_somebody_else_is_not_taken_for_the_attempts(world: World) -> None:
    """It has the name, and would never be seen to end: the attempt fails at once, for another one to try."""
    theirs = {"metadata": {"name": "f1-n0-0", "annotations": {}}, "spec": {}}
    await world.cluster.create(POD.rpartition("/")[0], theirs)
    await world.start()
    await until(lambda: world.updates)
    failure = world.updates[-1].failure
    assert failure is not None
    assert (failure.kind, failure.recoverable) == (FailureKind.SYSTEM, True)
    assert "somebody else has made a pod of its name, f1-n0-0" in failure.message


async def test_a_server_that_is_away_is_waited_for(world: World) -> None:
    """Neither its absence nor that of a webhook, which it tells as its own failure, is the attempt's."""
    world.cluster.error = UnavailableError("failed calling webhook")
    await world.start()
    await until(lambda: world.cluster.tries > 2)
    world.cluster.error = None
    await until(lambda: POD in world.cluster.objects)
    assert world.updates == []


async def test_a_stop_that_was_refused_is_over(world: World) -> None:
    """Who starts the attempt again, as it could not be ended, hears what becomes of its pod."""
    await world.start()
    await until(lambda: POD in world.cluster.objects)
    world.cluster.refuses_to_delete = True
    with pytest.raises(ForbiddenError):
        await world.executor.stop(NAME)
    await world.start()
    world.cluster.set(POD, {"status": {"phase": "Succeeded", "containerStatuses": [ended("f1-n0-0")]}})
    await until(lambda: world.updates)
    assert world.updates[-1].exit_code == 0


async def test_a_name_of_somebody_elses_attempt_is_refused(world: World) -> None:
    """Other attempts' names may make the same name of a pod: their ends are not this one's."""
    theirs = {
        "name": "f1-n0-0",
        "annotations": {"flyteform.dev/attempt": "flytesnacks/development/f1-n0/0"},
        "labels": {"app.kubernetes.io/managed-by": "flyteform"},
    }
    await world.cluster.create(POD.rpartition("/")[0], {"metadata": theirs, "spec": {}})
    world.cluster.set(POD, {"status": {"phase": "Succeeded"}})
    await until(lambda: world.cluster.watches)
    await world.start()
    await until(lambda: world.updates)
    failure = world.updates[-1].failure
    assert failure is not None
    assert "somebody else has made a pod of its name" in failure.message


async def test_a_pod_that_went_unseen_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was made and deleted while no watch was there: its attempt ends all the same, and others go on."""
    monkeypatch.setattr("flyteform_dataplane.kubernetes.executor._SWEEP_PAUSE", 0.02)
    world = World()
    await world.executor.open()
    await world.start("flytesnacks/development/f1/n1/0")
    world.cluster.loses_pods = True
    await world.start()
    await until(lambda: any(update.phase is AttemptPhase.EXITED for update in world.updates))
    await asyncio.sleep(0.1)
    (end,) = [update for update in world.updates if update.phase is AttemptPhase.EXITED]
    assert end.failure is not None
    assert (end.failure.code, end.name) == ("ResourceDeletedExternally", NAME)
    await world.executor.close()


async def test_a_pod_that_is_only_not_seen_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server has it, though no watch has told so: neither its absence here nor a failing question ends it."""
    monkeypatch.setattr("flyteform_dataplane.kubernetes.executor._SWEEP_PAUSE", 0.02)
    world = World()
    await world.executor.open()
    world.cluster.loses_pods = True
    asked = list[str]()

    async def get(path: str, **_: str) -> Json:
        asked.append(path)
        if len(asked) == 1:
            raise UnavailableError("away")
        annotations = {"flyteform.dev/attempt": NAME}
        return {"metadata": {"annotations": annotations, "labels": {"app.kubernetes.io/managed-by": "flyteform"}}}

    monkeypatch.setattr(world.cluster, "get", get)
    await world.start()
    await until(lambda: asked.count(POD) > 2)
    assert world.updates == []
    await world.executor.close()
