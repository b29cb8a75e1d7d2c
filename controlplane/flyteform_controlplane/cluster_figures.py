"""How the clusters stand, for metrics: read from the database when somebody asks, and for a moment believed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily

from flyteform_controlplane.domain.dispatches import ClusterState
from flyteform_controlplane.metrics import Source
from flyteform_controlplane.store.sql import clusters, dispatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from flyteform_controlplane.domain.dispatches import Cluster
    from flyteform_controlplane.store.database import Database

_log = logging.getLogger(__name__)
# Several may scrape at once; and a scrape gives up after ten seconds, with all that would have been in it.
_FRESH_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 3.0


class ClusterFigures(Source):
    """The state of each cluster and how many executions it has; nothing while the database does not answer."""

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._looked_at: float | None = None
        self._looking = asyncio.Lock()
        self._found: dict[str, tuple[ClusterState, int]] = {}

    async def look(self) -> None:
        """Read how clusters stand now, within a few seconds."""
        async with self._looking:
            at = self._monotonic()
            if self._looked_at is not None and at - self._looked_at < _FRESH_SECONDS:
                return
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    self._found = await self._read()
            except Exception as error:  # noqa: BLE001 - whatever it is, the other metrics go out
                self._found = {}
                _log.warning("metrics go without clusters: %s", str(error) or type(error).__name__)
            self._looked_at = self._monotonic()

    async def _read(self) -> dict[str, tuple[ClusterState, int]]:
        async with self._database.reading() as tx:
            known = await clusters.known_clusters(tx)
            counts = await dispatch.counts(tx, [one.name for one in known])
        executions = Counter[str]()
        for (name, _), count in counts.items():
            executions[name] += count
        return {one.name: (standing(one, executions[one.name]), executions[one.name]) for one in known}

    def collect(self) -> Iterable[Metric]:
        """Return what the last look found."""
        states = GaugeMetricFamily(
            "flyteform_cluster_state", "1 for the state that the cluster is in.", labels=("cluster", "state")
        )
        executions = GaugeMetricFamily(
            "flyteform_cluster_executions", "Executions that the cluster was given.", labels=("cluster",)
        )
        for name, (present, count) in self._found.items():
            executions.add_metric((name,), count)
            for state in ClusterState:
                states.add_metric((name, state.value.lower()), state is present)
        return states, executions


def standing(cluster: Cluster, executions: int) -> ClusterState:
    """Return how a cluster stands for who watches over it.

    One that an operator holds back keeps that state when it falls silent, and may do so once it has nothing left: it
    is being taken away. As long as it has executions, they wait for it, and that is a loss.
    """
    silent = cluster.lost_since is not None
    return ClusterState.LOST if silent and executions else cluster.state
