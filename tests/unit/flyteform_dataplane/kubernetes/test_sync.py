"""How resources are applied: what somebody else has made stays theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from flyteform.errors import ConflictError, NotFoundError
from flyteform_dataplane.kubernetes.sync import ServerSideApplier
from flyteform_dataplane.sync.resources import MANAGED_BY, OWNER, read_resources

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.sync.resources import Resource

Json = dict[str, Any]


class Cluster:
    """Has one object, or none; merges what is applied, and notes with what force."""

    def __init__(self, labels: Json | None = None) -> None:
        self.object: Json | None = None if labels is None else {"metadata": {"labels": labels}}
        self.forced: list[bool] = []
        self.conflict = False

    async def get(self, _: str) -> Json:
        """Return it."""
        if self.object is None:
            raise NotFoundError("none")
        return self.object

    async def apply(self, _: str, body: Json, *, manager: str, force: bool) -> Json:
        """Merge, as a server does with labels that nobody else has set."""
        assert manager == OWNER
        self.forced.append(force)
        if self.conflict and not force:
            raise ConflictError("people own it")
        labels = {} if self.object is None else self.object["metadata"]["labels"]
        self.object = {"metadata": {"labels": labels | body["metadata"]["labels"]}}
        return self.object


def namespace() -> Resource:
    """Return a namespace with a label."""
    text = '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "p-d", "labels": {"a": "b"}}}'
    ((found,), _) = read_resources([text])
    return found


async def test_what_is_made_here_is_ours() -> None:
    """It has the mark from the beginning, and is brought back by force."""
    cluster = Cluster()
    applier = ServerSideApplier(cast("KubernetesApi", cluster))
    for _ in range(2):
        await applier.apply(namespace())
    assert cluster.object == {"metadata": {"labels": {"a": "b", MANAGED_BY: OWNER}}}
    assert cluster.forced == [True, True]


async def test_what_somebody_else_has_made_does_not_become_ours() -> None:
    """It is added to, however often it is looked at, and never overwritten: the next time neither."""
    cluster = Cluster({"theirs": "1"})
    applier = ServerSideApplier(cast("KubernetesApi", cluster))
    for _ in range(3):
        await applier.apply(namespace())
    assert cluster.object == {"metadata": {"labels": {"theirs": "1", "a": "b"}}}
    assert cluster.forced == [False] * 3


async def test_a_conflict_says_how_it_is_given_up() -> None:
    """Whoever puts the mark on it gives it to us."""
    cluster = Cluster({})
    cluster.conflict = True
    applier = ServerSideApplier(cast("KubernetesApi", cluster))
    with pytest.raises(ConflictError, match="somebody else has made it") as caught:
        await applier.apply(namespace())
    assert f"{MANAGED_BY}={OWNER}" in (caught.value.remedy or "")
    cluster.object = {"metadata": {"labels": {MANAGED_BY: OWNER}}}
    await applier.apply(namespace())
    assert cluster.forced == [False, True]
