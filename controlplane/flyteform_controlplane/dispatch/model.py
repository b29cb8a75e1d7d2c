"""What dispatch knows as values: its settings, the data planes, and each execution's place between queue and end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flyteform_controlplane.domain.ports import ExecutionKey


@dataclass(frozen=True, slots=True)
class DispatchConfig:
    """Settings of dispatch; `weights` are by cluster, 1 where none is given, 0 for none of the unlabelled work."""

    lease_ttl: timedelta = timedelta(seconds=30)
    heartbeat_interval: timedelta = timedelta(seconds=5)
    # Heartbeats that a cluster may miss before it counts as lost.
    heartbeat_grace: int = 3
    # The safety net under the wake-ups: it notices what time alone brings about, such as the end of a lease.
    poll_interval: timedelta = timedelta(seconds=2)
    # Leases that a data plane may have waiting for its Ack.
    unacknowledged_limit: int = 100
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def heartbeat_timeout(self) -> timedelta:
        """How long a cluster may be silent before it counts as lost."""
        return self.heartbeat_interval * self.heartbeat_grace


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
