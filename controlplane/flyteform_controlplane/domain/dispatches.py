"""Dispatch as values: the data planes that are known, and each execution's place between queue and end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flyteform_controlplane.domain.ports import ExecutionKey


class ClusterState(StrEnum):
    """Work is leased to READY clusters only; an operator sets DRAINING and CORDONED, silence sets LOST.

    PENDING ones were declared and have never connected.
    """

    PENDING = "PENDING"
    READY = "READY"
    DRAINING = "DRAINING"
    CORDONED = "CORDONED"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as dispatch sees it: `epoch` numbers the connections of its data plane.

    `labels` are those that the data plane registered with. `weights` are the declared ones, by label and under "" for
    work without any; None where nobody has declared the cluster, and only then the former count.
    """

    name: str
    labels: frozenset[str]
    state: ClusterState
    epoch: int
    heartbeat_at: datetime | None
    weights: Mapping[str, float] | None = field(default=None, hash=False)
    capacity: int = 0
    lost_since: datetime | None = None

    def weight(self, label: str, otherwise: float = 1) -> float:
        """Return its share of the work with that label ("" for none); 0 if such work may not run here.

        `otherwise` is the weight of a cluster that nobody has declared.
        """
        if self.weights is not None:
            return self.weights.get(label, 0)
        return max(otherwise, 0) if not label or label in self.labels else 0

    def serves(self, label: str) -> bool:
        """Say whether work with that label may run here; "" is work for any cluster."""
        return self.weight(label) > 0


class DispatchState(StrEnum):
    """QUEUED for any cluster, LEASED to one that may still refuse, ACKED by one that holds it until its end."""

    QUEUED = "QUEUED"
    LEASED = "LEASED"
    ACKED = "ACKED"


@dataclass(frozen=True, slots=True)
class DispatchRecord:
    """An execution between its creation and its end; `epoch` numbers its leases."""

    id: int
    execution: ExecutionKey
    cluster_label: str
    state: DispatchState
    cluster: str
    epoch: int
    due_at: datetime | None
    failures: int
    abort_cause: str | None
