"""Settings of dispatch."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    # How often an execution's parts are tried to be read, if they are gone or damaged, before it is FAILED.
    attempts: int = 5
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def heartbeat_timeout(self) -> timedelta:
        """How long a cluster may be silent before it counts as lost."""
        return self.heartbeat_interval * self.heartbeat_grace
