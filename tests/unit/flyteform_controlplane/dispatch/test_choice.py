"""Which cluster runs what: stable, by label, in proportion to weights."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from flyteform_controlplane.dispatch.choice import choose, fnv64a
from flyteform_controlplane.domain.dispatches import Cluster, ClusterState


def cluster(name: str, *labels: str) -> Cluster:
    """Return a ready cluster."""
    return Cluster(name, frozenset(labels), ClusterState.READY, 1, datetime(2024, 1, 1, tzinfo=UTC))


def test_the_hash_is_fnv_1a_with_64_bits() -> None:
    """The published test vectors."""
    assert [fnv64a(text) for text in ("", "a", "foobar")] == [
        0xCBF29CE484222325,
        0xAF63DC4C8601EC8C,
        0x85944171F73967E8,
    ]


@given(st.text(min_size=1, max_size=20), st.permutations(["a", "b", "c"]))
def test_the_same_execution_goes_to_the_same_cluster(name: str, order: list[str]) -> None:
    """The order in which clusters are known changes nothing."""
    known = [cluster(each) for each in "abc"]
    assert choose(name, "", known, {}) == choose(name, "", [cluster(each) for each in order], {})


def test_only_clusters_with_the_label_are_chosen() -> None:
    """A label restricts, none means any, and one that nobody has gives nobody."""
    known = [cluster("plain"), cluster("gpu-1", "gpu"), cluster("gpu-2", "gpu", "big")]
    names = [f"exec-{number}" for number in range(200)]
    assert {choose(name, "gpu", known, {}) for name in names} == set(known[1:])
    assert {choose(name, "", known, {}) for name in names} == set(known)
    assert choose("exec", "tpu", known, {}) is None
    assert choose("exec", "", [], {}) is None


def test_what_has_its_data_somewhere_goes_there() -> None:
    """Whatever its name, if that cluster takes such work; else to those that do."""
    known = [cluster("plain"), cluster("gpu-1", "gpu"), cluster("gpu-2", "gpu")]
    names = [f"exec-{number}" for number in range(50)]
    assert {choose(name, "", known, {}, near="gpu-2") for name in names} == {known[2]}
    assert {choose(name, "gpu", known, {}, near="plain") for name in names} == set(known[1:])
    assert {choose(name, "", known[:2], {}, near="gpu-2") for name in names} == set(known[:2])
    assert {choose(name, "", known, {"plain": 0.0}, near="plain") for name in names} == set(known[1:])


def test_work_is_spread_by_weight() -> None:
    """Three quarters go to the cluster with three times the weight, none to the one with weight 0."""
    known = [cluster("heavy"), cluster("light"), cluster("off")]
    weights = {"heavy": 3.0, "off": 0.0}
    counts = Counter(
        chosen.name for number in range(4000) if (chosen := choose(f"f{number:019x}", "", known, weights)) is not None
    )
    assert counts["off"] == 0
    assert 2850 < counts["heavy"] < 3150
