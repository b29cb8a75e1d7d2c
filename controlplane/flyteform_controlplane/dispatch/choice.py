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


def choose(name: str, label: str, ready: Iterable[Cluster], weights: Mapping[str, float]) -> Cluster | None:
    """Pick a cluster that serves the label; None if none does.

    The same name and the same clusters give the same answer on every replica: the draw is seeded with the name's
    hash, as Flyte's is (`labelClusterMap`).
    """
    candidates = sorted((cluster for cluster in ready if cluster.serves(label)), key=lambda cluster: cluster.name)
    shares = [max(weights.get(cluster.name, 1), 0) for cluster in candidates]
    if not any(shares):
        return None
    return random.Random(fnv64a(name)).choices(candidates, weights=shares)[0]  # noqa: S311 - spreads load, hides nothing
