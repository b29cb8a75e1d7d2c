"""Clusters as resources: declared, held back, changed, imported, and forgotten only when nothing runs on them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform.client.clusters import ClusterClient
from flyteform.client.errors import UnsupportedError
from flyteform.errors import DefinitionError
from flyteform.proto.flyteform.v1 import clusters_pb2
from flyteform.provision import Cluster, ClusterIdentity, ClusterStorage
from flyteform.provision.addresses import address_text, parse_address
from flyteform.provision.clusters import cluster_fields, cluster_message, declared_part
from flyteform.provision.desired import Target, desired_of
from flyteform.provision.errors import DeclarationError
from flyteform.provision.importing import import_clusters
from flyteform.provision.model import Action, Desired, cluster_address
from flyteform.provision.observed import Observed
from flyteform.provision.plan import plan_changes
from flyteform.provision.provisioner import apply_plan, compare, make_plan
from flyteform.provision.resources.clusters import STATES
from flyteform.provision.restoring import find_drift, plan_return, return_to
from flyteform.provision.source_text import cluster_source
from flyteform.provision.state_memory import MemoryStateStore
from flyteform.provision.unversioned import unversioned_fields
from support.control_plane import control_plane

if TYPE_CHECKING:
    from pathlib import Path

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Plan

KEY = {
    "kty": "RSA",
    "kid": "a",
    "e": "AQAB",
    "n": "w7Zdfmece8iaB0kiTY8pCtiBtzbptJmP28nSWwtdjRu0f2GFpajvWE4VhfJAjEsOcwYzay7XGN0b-X84BfC8hmCTOj2b2eHT7NsZegFPKRU"
    "QzJ9wW8ipn_aDJWMGDuB1XyqT1E7DYqjUCEOD1b4FLpy_xPn6oV_TYOfQ9fZdbE5HGxJUzekuGcOKqOQ8M7wfYHhHHLxGpQVgL0apWuP2gDDOdTtp"
    "uld4D2LK1MZK99s9gaSjRHE8JDb1Z4IGhEcEyzkxswVdPndUWzfvWBBWXWxtSUvQGBRkuy1BHOa4sP6FKjWEeeF7gm7UMs2Nm2QUgNZw6xvEDGaLk4"
    "KASdIxRQ",
}
IDENTITY = (
    f'ClusterIdentity("https://issuer", "flyteform", "system:serviceaccount:flyteform:dataplane", {{"keys": [{KEY}]}})'
)
PLAIN = 'Cluster("gpu", labels=["gpu"], weight=2, template_values={"quota": "3"})'
FULL = (
    f'Cluster("gpu", labels={{"gpu": 0.5}}, identity={IDENTITY}, storage=ClusterStorage("s3://b/p"), state="cordoned")'
)
GPU = cluster_address("gpu")


def declare(folder: Path, text: str) -> Path:
    """Write a declaration."""
    path = folder / "declared.py"
    path.write_text(f"from flyteform.provision import *\n{text}\n")
    return path


def seen(plan: Plan) -> dict[str, tuple[str | None, str | None]]:
    """Return the fields that the plan's only step changes."""
    (step,) = plan.steps
    return {each.path: (each.before, each.after) for each in step.fields}


async def carry_out(plan: Plan, client: AdminClient, store: MemoryStateStore) -> None:
    """Apply; every step has to succeed."""
    result = await apply_plan(plan, client, store)
    assert result.ok, [str(each.error) for each in result.outcomes]


async def test_a_life(tmp_path: Path) -> None:
    """Created, changed in place, mended where it has drifted, gone back with, destroyed and created again."""
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        clusters = ClusterClient(client.caller)
        path = declare(tmp_path, PLAIN)
        plan = await make_plan(path, client, store)
        assert (plan.steps[0].action, plan.steps[0].address) == (Action.CREATE, GPU)
        assert seen(plan) == {"labels.gpu": (None, "1"), "weight": (None, "2"), "template_values.quota": (None, "3")}
        await carry_out(plan, client, store)
        assert (await make_plan(path, client, store)).steps == ()

        plan = await make_plan(declare(tmp_path, FULL), client, store)
        assert seen(plan)["state"] == ("ready", "cordoned")
        assert seen(plan)["labels.gpu"] == ("1", "0.5")
        assert (seen(plan)["identity.jwks"][1] or "").startswith("a (")
        await carry_out(plan, client, store)
        cluster = await clusters.get("gpu")
        assert cluster is not None
        assert cluster.state == clusters_pb2.CLUSTER_STATE_CORDONED
        assert cluster.spec.storage.prefix == "s3://b/p"
        assert (await make_plan(path, client, store)).steps == ()

        await clusters.uncordon("gpu")
        drift = await find_drift(client, await store.load())
        assert seen(drift) == {"state": ("ready", "cordoned")}
        mending = await make_plan(path, client, store)
        assert mending.steps[0].drift
        await carry_out(mending, client, store)

        state = await store.load()
        target = await return_to(client, state, serial=2)
        back = await plan_return(client, state, target)
        await apply_plan(back, client, store)
        cluster = await clusters.get("gpu")
        assert cluster is not None
        assert cluster.spec.template_values == {"quota": "3"}

        for _ in range(2):
            await carry_out(await make_plan(path, client, store), client, store)
            await carry_out(await make_plan(path, client, store, destroy=True), client, store)
            assert await clusters.get("gpu") is None


async def test_a_state_that_is_not_declared_is_the_operators(tmp_path: Path) -> None:
    """Whoever drains or cordons by hand is not undone, unless the declaration says that it is to be ready."""
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        clusters = ClusterClient(client.caller)
        path = declare(tmp_path, PLAIN)
        await carry_out(await make_plan(path, client, store), client, store)
        await clusters.drain("gpu")
        assert (await make_plan(path, client, store)).steps == ()
        refresh = await make_plan(path, client, store, refresh_only=True)
        assert refresh.steps == ()
        plan = await make_plan(declare(tmp_path, PLAIN.replace(")", ', state="ready")')), client, store)
        assert seen(plan) == {"state": ("draining", "ready")}
        await carry_out(plan, client, store)
        drained = PLAIN.replace(")", ', state="draining", ignore_changes=["state", "labels.gpu", "weight"])')
        drained = drained.replace('["gpu"]', '{"gpu": 7}', 1).replace("weight=2", "weight=9")
        assert (await make_plan(declare(tmp_path, drained), client, store)).steps == ()
        with pytest.raises(DeclarationError, match="ignore_changes cannot name 'colour'"):
            await make_plan(declare(tmp_path, PLAIN.replace(")", ', ignore_changes=["colour"])')), client, store)


async def test_a_stock_platform_refuses_it_in_the_plan(tmp_path: Path) -> None:
    """Before anything changes, the error names the cluster and what to do."""
    async with control_plane(tmp_path, stock=True) as client:
        path = declare(tmp_path, f'Project("new")\n{PLAIN}')
        with pytest.raises(UnsupportedError, match="cluster gpu needs a flyteform control plane"):
            await make_plan(path, client, MemoryStateStore())
        with pytest.raises(UnsupportedError):
            await import_clusters(client)
        declare(tmp_path, 'Project("new")')
        await carry_out(await make_plan(path, client, store := MemoryStateStore()), client, store)


async def test_two_clusters_cannot_be_the_same(tmp_path: Path) -> None:
    """A second cluster with the same identity is refused by the control plane; the first stays as it is."""
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        path = declare(tmp_path, f"{FULL}\n{FULL.replace('gpu', 'other', 1)}")
        result = await apply_plan(await make_plan(path, client, store), client, store)
        assert sorted(each.status.value for each in result.outcomes) == ["applied", "failed"]
        assert ["has the same identity" in str(each.error) for each in result.outcomes if each.error] == [True]


async def test_import_then_plan_is_empty(tmp_path: Path) -> None:
    """What is written of the clusters that are there plans to nothing; what nobody has declared is left out."""
    store = MemoryStateStore()
    async with control_plane(tmp_path) as client:
        path = declare(tmp_path, f'{FULL}\nCluster("plain")\n{PLAIN.replace("gpu", "third")}')
        await carry_out(await make_plan(path, client, store), client, store)
        found = await import_clusters(client)
        assert found.resources == 3
        path.write_text(found.text)
        assert (await make_plan(path, client, MemoryStateStore())).steps == ()
        assert 'state="cordoned"' in found.text
        assert "flyteform.provision import Cluster, ClusterIdentity, ClusterStorage" in found.text


def test_executions_hold_a_cluster() -> None:
    """Taking a cluster out of use that has executions is refused in the plan, with how many and what to do."""
    desired = desired_of([Cluster("gpu")], Target("p", "d"))
    spec = desired.settings[0].spec
    for count, text in ((1, "1 execution,"), (3, "3 executions,")):
        observed = Observed(settings={GPU: spec}, executions={GPU: count})
        assert all(each.action is Action.NO_OP for each in plan_changes(desired, observed, {GPU}))
        with pytest.raises(DeclarationError, match=text) as caught:
            plan_changes(Desired(), observed, {GPU})
        assert "flyteform cluster drain gpu" in str(caught.value.remedy)
    idle = Observed(settings={GPU: spec}, executions={GPU: 0})
    assert [each.action for each in plan_changes(Desired(), idle, {GPU})] == [Action.REMOVE]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('Cluster("no name")', "no name of a cluster"),
        ('Cluster("")', "no name of a cluster"),
        ("Cluster(3)", "no name of a cluster"),
        ('Cluster("c", labels=7)', "are no labels"),
        ('Cluster("c", labels={"": 1})', "is no label"),
        ('Cluster("c", labels={"a": -1})', "is no weight"),
        ('Cluster("c", labels={"a": float("nan")})', "is no weight"),
        ('Cluster("c", weight=True)', "is no weight"),
        ('Cluster("c", weight="2")', "is no weight"),
        ('Cluster("c", state="drained")', "is no state"),
        ('Cluster("c", template_values={"a": 1})', "takes texts by text"),
        ('Cluster("c", identity="x")', "takes a ClusterIdentity"),
        ('Cluster("c", storage="s3://b")', "takes a ClusterStorage"),
        ('Cluster("c", moved="d")', "cannot be renamed"),
        ("ClusterStorage()", "takes texts"),
        ('ClusterIdentity("", "a", "s", {"keys": []})', "issuer takes a text"),
        ('ClusterIdentity("i", "a", "s", {"keys": []})', "no key in jwks"),
        ('ClusterIdentity("i", "a", "s", "{")', "no set of keys"),
        ('ClusterIdentity("i", "a", "s", {"keys": "abc"})', "no set of keys"),
        ('ClusterIdentity("i", "a", "s", 7)', "no set of keys"),
        ('ClusterIdentity("i", "a", "s", {"keys": [{"kty": "RSA", "d": "x"}]})', "private key"),
        ('ClusterIdentity("i", "a", "s", {"keys": [{"kty": "oct", "k": "x"}]})', "private key"),
    ],
)
def test_wrong_declarations_are_one_message(text: str, message: str) -> None:
    """What no control plane would take is refused where it is declared."""
    names: dict[str, Any] = {"Cluster": Cluster, "ClusterIdentity": ClusterIdentity, "ClusterStorage": ClusterStorage}
    with pytest.raises(DefinitionError, match=message):
        eval(text, names)  # noqa: S307 - our own text


def test_an_address_is_its_name() -> None:
    """Commands take `cluster:NAME`, and write it so; it lies in no project."""
    assert parse_address("cluster:gpu") == GPU
    assert address_text(GPU) == "cluster:gpu"
    assert str(GPU) == "cluster gpu"


NAMES = st.text(alphabet="abcXYZ.-_09", min_size=1, max_size=8)
WEIGHTS = st.floats(0, 1e6, allow_nan=False) | st.integers(0, 1000)
KEYS = st.lists(st.fixed_dictionaries({"kty": st.just("RSA"), "kid": NAMES, "n": NAMES}), min_size=1, max_size=3)


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    """Draw any cluster that can be declared."""
    jwks = {"keys": draw(KEYS)}
    identity = ClusterIdentity(draw(NAMES), draw(NAMES), draw(NAMES), draw(st.sampled_from([jwks, json.dumps(jwks)])))
    storage = ClusterStorage(draw(NAMES), draw(NAMES | st.just("")), region=draw(NAMES | st.just("")))
    return Cluster(
        "c" + draw(NAMES),
        labels=draw(st.dictionaries(NAMES, WEIGHTS, max_size=3) | st.lists(NAMES, max_size=3)),
        weight=draw(st.none() | WEIGHTS),
        identity=draw(st.none() | st.just(identity)),
        storage=draw(st.none() | st.just(storage)),
        template_values=draw(st.none() | st.dictionaries(NAMES, NAMES, max_size=2)),
        state=draw(st.none() | st.sampled_from(STATES)),
    )


@given(clusters(), clusters())
def test_applied_and_imported_it_is_as_declared(declared: Cluster, other: Cluster) -> None:
    """Whatever is declared: once it is so nothing is left; its text means the same; another one differs in fields."""
    desired = desired_of([declared], Target("p", "d"))
    (setting,) = desired.settings
    there = clusters_pb2.Cluster.FromString(setting.spec)
    there.held, there.state = 3, there.state or clusters_pb2.CLUSTER_STATE_LOST
    there.created_at.FromDatetime(datetime.now(UTC))
    observed = Observed(settings={setting.address: declared_part(there).SerializeToString()})
    assert [each.action for each in plan_changes(desired, observed, ())] == [Action.NO_OP]
    names: dict[str, Any] = {"Cluster": Cluster, "ClusterIdentity": ClusterIdentity, "ClusterStorage": ClusterStorage}
    text = cluster_source(declared_part(there))
    again = cluster_message(eval(text, names))  # noqa: S307 - our own text
    left_out = {"state": "ready"}.items()  # that is the operators' again
    assert cluster_fields(again).items() == setting.fields.items() - left_out
    mine, theirs = cluster_message(declared), cluster_message(other)
    theirs.name = mine.name
    assert (cluster_fields(mine) == cluster_fields(theirs)) == _same(mine, theirs)


def _same(one: clusters_pb2.Cluster, other: clusters_pb2.Cluster) -> bool:
    """Compare two clusters by what they mean: a weight of 1 is none."""
    for each in (one, other):
        each.spec.weight = each.spec.weight if each.spec.HasField("weight") else 1.0
    return one == other


async def test_clusters_that_are_not_asked_for_cost_nothing(tmp_path: Path) -> None:
    """A plan without clusters makes no call about them; one with a hundred makes two."""
    async with control_plane(tmp_path) as client:
        store = MemoryStateStore()
        state = await store.load()
        await compare(Desired(), client, state)
        assert "ListClusters" not in " ".join(client.caller.sent)
        many = desired_of([Cluster(f"c{number}") for number in range(100)], Target("p", "d"))
        plan = await compare(many, client, state)
        assert len(plan.steps) == 100
        assert plan.requests == 1
        assert all(unversioned_fields(each.address, each.spec)["weight"] == "1" for each in many.settings)
