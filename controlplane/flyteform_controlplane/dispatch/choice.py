"""Which of the ready clusters runs an execution: stable by its name, in proportion to weights."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteform_controlplane.domain.dispatches import Cluster

_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3


def fnv64a(text: str) -> int:
    """Return the 64-bit FNV-1a hash of the text's UTF-8 bytes."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


def choose(
    name: str, label: str, ready: Iterable[Cluster], weights: Mapping[str, float], *, near: str = ""
) -> Cluster | None:
    """Pick a cluster that serves the label; None if none does. If one of them is `near`, it is that.

    `weights` are by name those of clusters that nobody has declared, 1 where none is given. The same name and the same
    clusters give the same answer on every replica: the draw is seeded with the name's hash, as Flyte's is
    (`labelClusterMap`).
    """
    shares = {cluster: cluster.weight(label, weights.get(cluster.name, 1)) for cluster in ready}
    candidates = sorted((cluster for cluster, share in shares.items() if share), key=lambda cluster: cluster.name)
    if not candidates:
        return None
    for cluster in candidates:
        if cluster.name == near:
            return cluster
    drawn = [shares[cluster] for cluster in candidates]
    return random.Random(fnv64a(name)).choices(candidates, weights=drawn)[0]  # noqa: S311 - spreads load, hides nothing
