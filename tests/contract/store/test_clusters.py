"""Clusters over every kind of database: declarations, states, and first logins."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from flyteform.proto.flyteform.v1 import clusters_pb2 as pb
from flyteform_controlplane.auth.keys import import_public_keys
from flyteform_controlplane.cluster_figures import ClusterFigures
from flyteform_controlplane.domain.clusters import check_spec
from flyteform_controlplane.domain.dispatches import ClusterState
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.errors import (
    EntityExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    MissingEntityError,
    UnauthenticatedError,
)
from flyteform_controlplane.services.clusters import ClusterService
from flyteform_controlplane.services.given_up import GivenUp
from flyteform_controlplane.store.sql import clusters, dispatch
from flyteform_controlplane.store.sql.clusters import Registration
from support.admin import open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from flyteform_controlplane.store.database import Database

START = datetime(2024, 5, 1, tzinfo=UTC)
HERE = Registration(labels=("own",), version="1")
KEY = OKPKey.generate_key("Ed25519", {"use": "sig"}, auto_kid=True)
JWKS = json.dumps({"keys": [KEY.as_dict(private=False)]})


class World:
    """The service, with a clock that the test sets."""

    def __init__(self, service: ClusterService, database: Database) -> None:
        self.service, self.database, self.time = service, database, START
        service._now = lambda: self.time  # noqa: SLF001 - the test's own clock

    async def put(self, name: str, *, revision: int | None = None, **spec: object) -> pb.Cluster:
        """Declare a cluster."""
        request = pb.PutClusterRequest(name=name, spec=pb.ClusterSpec(**spec), revision=revision)  # type: ignore[arg-type]
        return (await self.service.PutCluster(request, None)).cluster

    async def get(self, name: str) -> pb.Cluster:
        """Look at a cluster."""
        return (await self.service.GetCluster(pb.GetClusterRequest(name=name), None)).cluster

    async def connect(self, name: str) -> int:
        """Let a data plane come."""
        async with self.database.transaction() as tx:
            return await clusters.register_cluster(tx, name, HERE, self.time)

    async def silence(self, after: timedelta = timedelta(seconds=15)) -> list[str]:
        """Look for clusters that were not heard."""
        async with self.database.transaction() as tx:
            return await clusters.mark_lost(tx, self.time - after, self.time)

    async def lease(self, name: str, cluster: str, *, held: bool) -> ExecutionKey:
        """Lease an execution to a cluster."""
        key = ExecutionKey("p", "d", name)
        async with self.database.transaction() as tx:
            await dispatch.add(tx, key, "", self.time)
            record = await dispatch.get(tx, key)
            assert record is not None
            await dispatch.lease(tx, [record.id], cluster, self.time, self.time)
            if held:
                await dispatch.hold(tx, record, cluster, self.time)
        return key


@pytest.fixture
async def world(tmp_path: Path, url: str) -> AsyncIterator[World]:
    """Give the service on a database of each kind."""
    async with open_world(tmp_path, database_url=url) as opened:
        yield World(
            ClusterService(
                opened.admin.backend, GivenUp(opened.admin.events), "https://flyte.example.org", import_public_keys
            ),
            opened.database,
        )


async def test_a_declared_cluster_is_pending_until_its_data_plane_comes(world: World) -> None:
    """Declared, it has labels, weights and a revision; connected, it is READY and its own labels count for nothing."""
    made = await world.put("east", labels={"gpu": 3.0}, weight=0.5)
    assert (made.state, made.revision, made.spec.labels["gpu"]) == (pb.CLUSTER_STATE_PENDING, 1, 3.0)
    assert not made.HasField("last_heartbeat")
    await world.connect("east")
    found = await world.get("east")
    assert (found.state, found.version, found.last_heartbeat.ToDatetime(UTC)) == (pb.CLUSTER_STATE_READY, "1", START)
    async with world.database.reading() as tx:
        (known,) = await clusters.known_clusters(tx)
    assert {label: known.weight(label) for label in ("gpu", "", "own")} == {"gpu": 3.0, "": 0.5, "own": 0}


async def test_a_cluster_that_nobody_declared_has_the_labels_that_it_comes_with(world: World) -> None:
    """Its revision is 0; declaring it with revision 0 takes it over, state and all."""
    await world.connect("embedded")
    found = await world.get("embedded")
    assert (found.revision, dict(found.spec.labels), found.state) == (0, {"own": 1.0}, pb.CLUSTER_STATE_READY)
    taken = await world.put("embedded", revision=0, labels={"mine": 1.0})
    assert (taken.revision, dict(taken.spec.labels), taken.state) == (1, {"mine": 1.0}, pb.CLUSTER_STATE_READY)


async def test_a_change_names_the_revision_that_it_was_made_from(world: World) -> None:
    """The same declaration again changes nothing; one from an old look is refused, and so is a second creation."""
    await world.put("east", revision=0, weight=1.0)
    assert (await world.put("east", revision=1, weight=1.0)).revision == 1
    assert (await world.put("east", revision=1, weight=2.0)).revision == 2
    for revision in (0, 1, 3):
        with pytest.raises(FailedPreconditionError, match="revision 2"):
            await world.put("east", revision=revision, weight=3.0)
    assert (await world.get("east")).spec.weight == 2.0


async def test_of_changes_from_one_revision_one_wins(world: World) -> None:
    """Ten at once: one is written, the others are told to look again."""
    await world.put("east")
    changes = [world.put("east", revision=1, weight=float(number)) for number in range(2, 12)]
    ends = await asyncio.gather(*changes, return_exceptions=True)
    assert sum(isinstance(end, FailedPreconditionError) for end in ends) == 9
    assert (await world.get("east")).revision == 2


async def test_states_follow_the_operator_and_the_heartbeats(world: World) -> None:
    """What an operator says stands while the cluster falls silent and returns; without it silence is LOST."""
    await world.put("east")
    service = world.service
    await service.CordonCluster(pb.CordonClusterRequest(name="east"), None)
    assert (await world.get("east")).state == pb.CLUSTER_STATE_CORDONED
    assert (
        await service.UncordonCluster(pb.UncordonClusterRequest(name="east"), None)
    ).cluster.state == pb.CLUSTER_STATE_PENDING
    epoch = await world.connect("east")
    world.time += timedelta(minutes=1)
    assert await world.silence() == ["east"]
    assert await world.silence() == []
    lost = await world.get("east")
    assert (lost.state, lost.lost_since.ToDatetime(UTC)) == (pb.CLUSTER_STATE_LOST, START)
    await service.DrainCluster(pb.DrainClusterRequest(name="east"), None)
    drained = await world.get("east")
    assert (drained.state, drained.drained, drained.HasField("lost_since")) == (pb.CLUSTER_STATE_DRAINING, True, True)
    uncordoned = await service.UncordonCluster(pb.UncordonClusterRequest(name="east"), None)
    assert uncordoned.cluster.state == pb.CLUSTER_STATE_LOST
    async with world.database.transaction() as tx:
        assert await clusters.record_heartbeat(tx, "east", epoch, world.time)
    back = await world.get("east")
    assert (back.state, back.HasField("lost_since")) == (pb.CLUSTER_STATE_READY, False)


async def figures(world: World) -> dict[str, tuple[str, float]]:
    """Return the state and the number of executions of each cluster, as metrics have them."""
    found = ClusterFigures(world.database)
    await found.look()
    states, executions = (family.samples for family in found.collect())
    assert len(states) == len(ClusterState) * len(executions)
    counts = {sample.labels["cluster"]: sample.value for sample in executions}
    return {
        each.labels["cluster"]: (each.labels["state"], counts[each.labels["cluster"]]) for each in states if each.value
    }


async def test_metrics_tell_how_clusters_stand(world: World) -> None:
    """One that was drained and is taken away is no loss; one that falls silent with executions is, drained or not."""
    for name in ("declared", "empty", "busy"):
        await world.put(name)
    for name in ("empty", "busy", "alive"):
        await world.connect(name)
    await world.lease("held", "busy", held=True)
    await world.lease("offered", "busy", held=False)
    for name in ("empty", "busy"):
        await world.service.DrainCluster(pb.DrainClusterRequest(name=name), None)
    quiet = {"declared": ("pending", 0), "empty": ("draining", 0), "alive": ("ready", 0)}
    assert await figures(world) == {**quiet, "busy": ("draining", 2)}
    world.time += timedelta(minutes=1)
    await world.silence()
    assert await figures(world) == {**quiet, "busy": ("lost", 1), "alive": ("lost", 0)}


async def test_a_drained_cluster_has_nothing_left(world: World) -> None:
    """What it has acknowledged stays, what it was offered only for as long as the offer; then it can be deleted."""
    await world.connect("east")
    kept = await world.lease("kept", "east", held=True)
    moved = await world.lease("moved", "east", held=False)
    drain = pb.DrainClusterRequest(name="east")
    draining = (await world.service.DrainCluster(drain, None)).cluster
    assert (draining.held, draining.leased, draining.drained) == (1, 1, False)
    with pytest.raises(FailedPreconditionError, match="2 executions"):
        await world.service.DeleteCluster(pb.DeleteClusterRequest(name="east"), None)
    async with world.database.transaction() as tx:
        await dispatch.expire(tx, datetime.now(UTC) + timedelta(hours=1))
        states = {one.execution: one.state.value for one in await dispatch.get_many(tx, [kept, moved])}
        assert states == {kept: "ACKED", moved: "QUEUED"}
        record = await dispatch.get(tx, kept)
        assert record is not None
        await dispatch.remove(tx, [record.id])
    assert (await world.get("east")).drained
    for _ in range(2):
        await world.service.DeleteCluster(pb.DeleteClusterRequest(name="east"), None)
    with pytest.raises(MissingEntityError, match="'east'"):
        await world.get("east")


async def test_only_a_lost_cluster_is_given_up(world: World) -> None:
    """One that was never heard, is heard, or is not known, is left as it is, with what it holds."""
    abandon = pb.AbandonClusterRequest(name="east")
    with pytest.raises(MissingEntityError, match="'east'"):
        await world.service.AbandonCluster(abandon, None)
    await world.put("east")
    for connects in (False, True):
        if connects:
            await world.connect("east")
            await world.lease("held", "east", held=True)
        with pytest.raises(FailedPreconditionError, match="not lost"):
            await world.service.AbandonCluster(abandon, None)
    assert (await world.get("east")).held == 1


async def test_a_cluster_that_was_given_up_has_nothing_left(world: World) -> None:
    """However much it held, drained or not; what others hold stays, and then it can be deleted."""
    for name in ("east", "west"):
        await world.connect(name)
    for number in range(120):
        await world.lease(f"held{number}", "east", held=True)
    await world.lease("other", "west", held=True)
    world.time += timedelta(minutes=1)
    await world.silence()
    offered = await world.lease("offered", "east", held=False)
    await world.service.DrainCluster(pb.DrainClusterRequest(name="east"), None)
    answer = await world.service.AbandonCluster(pb.AbandonClusterRequest(name="east"), None)
    assert (answer.ended, answer.cluster.held, answer.cluster.drained) == (120, 0, True)
    async with world.database.reading() as tx:
        assert [one.state.value for one in await dispatch.get_many(tx, [offered])] == ["QUEUED"]
    assert (await world.get("west")).held == 1
    await world.service.DeleteCluster(pb.DeleteClusterRequest(name="east"), None)


async def test_a_cluster_that_comes_back_while_it_is_given_up_ends_it_itself(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its data plane is told to abort what it holds, and what it holds is known until it says that it has ended."""
    await world.connect("east")
    key = await world.lease("held", "east", held=True)
    world.time += timedelta(minutes=1)
    await world.silence()
    end = GivenUp.end

    async def come_back(ends: GivenUp, *arguments: Any) -> None:
        await end(ends, *arguments)
        await world.connect("east")

    monkeypatch.setattr(GivenUp, "end", come_back)
    answer = await world.service.AbandonCluster(pb.AbandonClusterRequest(name="east"), None)
    assert (answer.ended, answer.cluster.held) == (1, 1)
    async with world.database.reading() as tx:
        assert [record.execution for record in await dispatch.aborting(tx, ["east"])] == [key]


async def test_clusters_are_listed_by_name_in_pages(world: World) -> None:
    """Each once, in order, with a token until the last page."""
    for name in ("b", "c", "a"):
        await world.put(name)
    first = await world.service.ListClusters(pb.ListClustersRequest(limit=2), None)
    second = await world.service.ListClusters(pb.ListClustersRequest(limit=2, token=first.token), None)
    assert [one.name for one in (*first.clusters, *second.clusters)] == ["a", "b", "c"]
    assert (first.token, second.token) == ("2", "")


async def test_no_two_clusters_have_one_identity(world: World) -> None:
    """One issuer's name may be many clusters'; the same keys, audience and subject together may not."""
    identity = {"issuer": "https://kubernetes.default.svc", "audience": "a", "jwks": JWKS, "subject": "s"}
    await world.put("east", identity=pb.ClusterIdentity(**identity))
    with pytest.raises(EntityExistsError, match="'east'"):
        await world.put("west", identity=pb.ClusterIdentity(**identity))
    await world.put("west", identity=pb.ClusterIdentity(**{**identity, "subject": "other"}))


async def test_a_bootstrap_token_is_good_once_for_its_time_and_until_the_next(world: World) -> None:
    """Redeemed it pins a key; again, too late, replaced, or for a deleted cluster it is refused."""
    await world.put("east")
    public = json.dumps(KEY.as_dict(private=False))

    async def make() -> str:
        return (await world.service.CreateBootstrapToken(pb.CreateBootstrapTokenRequest(name="east"), None)).token

    async def redeem(token: str) -> pb.RedeemBootstrapTokenResponse:
        return await world.service.RedeemBootstrapToken(
            pb.RedeemBootstrapTokenRequest(token=token, public_key=public), None
        )

    token = await make()
    answer = await redeem(token)
    assert (answer.name, answer.audience) == ("east", "https://flyte.example.org")
    assert (await world.get("east")).bootstrapped
    replaced, late = await make(), await make()
    world.time += timedelta(hours=2)
    deleted = await make()
    await world.service.DeleteCluster(pb.DeleteClusterRequest(name="east"), None)
    for bad in (token, replaced, late, deleted, "", "guessed"):
        with pytest.raises(UnauthenticatedError, match="refused"):
            await redeem(bad)


async def test_of_two_that_show_one_bootstrap_token_one_is_let_in(world: World) -> None:
    """However close they come, one key is pinned."""
    await world.put("east")
    token = (await world.service.CreateBootstrapToken(pb.CreateBootstrapTokenRequest(name="east"), None)).token
    keys = [OKPKey.generate_key("Ed25519", {"use": "sig"}, auto_kid=True).as_dict(private=False) for _ in range(4)]
    requests = [pb.RedeemBootstrapTokenRequest(token=token, public_key=json.dumps(key)) for key in keys]
    ends = await asyncio.gather(
        *(world.service.RedeemBootstrapToken(request, None) for request in requests), return_exceptions=True
    )
    assert sum(isinstance(end, UnauthenticatedError) for end in ends) == 3


@pytest.mark.parametrize(
    ("public_key", "why"),
    [
        ("", "no JSON"),
        ("[]", "keys"),
        (json.dumps({"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "a"}), "symmetric"),
        (json.dumps(KEY.as_dict(private=True)), "private"),
    ],
)
async def test_what_is_no_public_key_is_not_pinned(world: World, public_key: str, why: str) -> None:
    """It is refused with its reason, the token stays good, and the message repeats no key."""
    await world.put("east")
    token = (await world.service.CreateBootstrapToken(pb.CreateBootstrapTokenRequest(name="east"), None)).token
    with pytest.raises(InvalidArgumentError, match=why):
        await world.service.RedeemBootstrapToken(
            pb.RedeemBootstrapTokenRequest(token=token, public_key=public_key), None
        )
    await world.service.RedeemBootstrapToken(
        pb.RedeemBootstrapTokenRequest(token=token, public_key=json.dumps(KEY.as_dict(private=False))), None
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"labels": {"": 1.0}},
        {"labels": {"x" * 256: 1.0}},
        {"labels": {"gpu": -1.0}},
        {"weight": float("nan")},
        {"weight": float("inf")},
        {"identity": pb.ClusterIdentity(issuer="i", audience="a", subject="s")},
        {"identity": pb.ClusterIdentity(issuer="i", audience="a", subject="s", jwks="{}")},
        {"storage": pb.StorageProfile(prefix="bucket")},
        {"storage": pb.StorageProfile(prefix="s3://bucket/")},
        {"template_values": {"a-b": "1"}},
    ],
)
async def test_a_declaration_that_cannot_be_is_refused(world: World, spec: dict[str, object]) -> None:
    """INVALID_ARGUMENT, and nothing is written."""
    with pytest.raises(InvalidArgumentError):
        await world.put("east", **spec)
    assert not (await world.service.ListClusters(pb.ListClustersRequest(), None)).clusters


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.text(max_size=300), st.floats(), max_size=3), st.floats(), st.text(max_size=40))
def test_any_declaration_is_taken_or_refused_with_a_reason(labels: dict[str, float], weight: float, uri: str) -> None:
    """Nothing but INVALID_ARGUMENT comes of whatever a client sends."""
    spec = pb.ClusterSpec(labels=labels, weight=weight, storage=pb.StorageProfile(prefix=uri))
    with suppress(InvalidArgumentError):
        check_spec(spec)
