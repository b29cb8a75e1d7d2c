"""Pods that the API server does not take: what waits, what is tried again, and what is told at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import pytest

from flyteform.errors import FlyteformError, InvalidInputError, NotFoundError, UnavailableError
from flyteform_dataplane.engine.failures import FailureKind
from flyteform_dataplane.kubernetes import executor
from flyteform_dataplane.kubernetes.api import ForbiddenError, TooLargeError
from flyteform_dataplane.kubernetes.executor import PodExecutor
from flyteform_dataplane.kubernetes.profile import PodProfile
from support.attempts import until
from support.fake_cluster import FakeCluster
from support.pods import request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.ports import AttemptUpdate

Json = dict[str, Any]
POD = "/api/v1/namespaces/flytesnacks-development/pods/f1-n0-0"
NAME = "flytesnacks/development/f1/n0/0"


class Picky(FakeCluster):
    """A cluster that refuses pods while it has an error to give."""

    def __init__(self) -> None:
        super().__init__()
        self.error: FlyteformError | None = None
        self.tries = 0

    async def create(self, path: str, body: Json, **query: str) -> Json:
        """Refuse, or create."""
        self.tries += 1
        if self.error is not None:
            raise self.error
        return await super().create(path, body, **query)


class World:
    """A cluster, an executor, and what that tells."""

    def __init__(self) -> None:
        self.cluster = Picky()
        self.executor = PodExecutor(cast("KubernetesApi", self.cluster), PodProfile())
        self.updates: list[AttemptUpdate] = []

    async def start(self) -> None:
        """Start the attempt."""
        await self.executor.start(request(labels={"execution-id": "f1"}), self.updates.append)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Make one with an open executor that has little patience."""
    monkeypatch.setattr(executor, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(executor, "_LONGEST_PAUSE", 0.02)
    made = World()
    await made.executor.open()
    yield made
    await made.executor.close()


FULL = (
    'Kubernetes refuses it: pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'
)


async def test_a_full_namespace_is_waited_for(world: World) -> None:
    """A quota is no failure: the pod is made when there is room, and nothing was told before."""
    world.cluster.error = ForbiddenError(FULL)
    await world.start()
    await until(lambda: world.cluster.tries > 3)
    assert world.updates == []
    world.cluster.error = None
    await until(lambda: POD in world.cluster.objects)


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
    assert (world.cluster.tries, world.updates, POD in world.cluster.objects) == (tries, [], False)


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
