"""Dispatch as values: the data planes that are known, and each execution's place between queue and end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from flyteform_controlplane.domain.ports import ExecutionKey


class ClusterState(StrEnum):
    """Work is leased to READY clusters only; an operator sets DRAINING and CORDONED, silence sets LOST."""

    READY = "READY"
    DRAINING = "DRAINING"
    CORDONED = "CORDONED"
    LOST = "LOST"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A data plane that has registered: `epoch` numbers its connections."""

    name: str
    labels: frozenset[str]
    state: ClusterState
    epoch: int
    heartbeat_at: datetime

    def serves(self, label: str) -> bool:
        """Say whether work with that label may run here; "" is work for any cluster."""
        return not label or label in self.labels


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
