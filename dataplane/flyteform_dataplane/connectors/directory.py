"""Which connector runs which task type: what the command line says, then what the services list."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError
from flyteform_dataplane.connectors.client import Connector
from flyteform_dataplane.connectors.errors import ConnectorUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flyteidl.admin.agent_pb2 import Agent

    from flyteform_dataplane.connectors.endpoints import Endpoint

logger = logging.getLogger(__name__)

_FRESH = 5.0  # seconds in which a service is not asked again for a type that it did not list


class _Listed:
    """What one service said of itself, and when."""

    def __init__(self, connector: Connector) -> None:
        self.connector = connector
        self.asked_at = float("-inf")
        self.reachable = False
        self.runs: dict[str, tuple[frozenset[int], bool]] = {}

    async def ask(self, now: Callable[[], float]) -> None:
        """Have it list its task types; what it said before holds while it does not answer."""
        try:
            agents = await self.connector.agents()
        except FlyteformError as error:
            logger.warning("task types of a connector are not known: %s", error.message)
            self.reachable = False
        else:
            self.runs = _runs(agents)
            self.reachable = True
            logger.info("the connector at %s runs %s", self.connector.endpoint.address, ", ".join(sorted(self.runs)))
        self.asked_at = now()


class Directory:
    """The connectors of a data plane."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._listed = [_Listed(Connector(endpoint)) for endpoint in endpoints]
        self._asking = asyncio.Lock()

    @property
    def known(self) -> bool:
        """Whether there are any."""
        return bool(self._listed)

    def routes(self, task_type: str) -> bool:
        """Whether tasks of this type go to a connector whatever else could run them."""
        return any(task_type in listed.connector.endpoint.task_types for listed in self._listed)

    async def claims(self, task_type: str, version: int) -> bool:
        """Whether a connector runs tasks of this type.

        Raises `ConnectorUnavailableError` when none is known to, but one could not be asked.
        """
        return await self._find(task_type, version) is not None

    async def find(self, task_type: str, version: int) -> tuple[Connector, bool]:
        """Return the connector and whether it runs the type synchronously.

        Raises `ConnectorUnavailableError` when it is not known now.
        """
        found = await self._find(task_type, version)
        if found is None:
            raise ConnectorUnavailableError(f"no connector runs tasks of type {task_type!r} any more")
        return found

    def at(self, address: str) -> Connector | None:
        """Return the connector at an address; None if it is not configured any more."""
        every = (listed.connector for listed in self._listed)
        return next((connector for connector in every if connector.endpoint.address == address), None)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(listed.connector.close() for listed in self._listed))

    async def _find(self, task_type: str, version: int) -> tuple[Connector, bool] | None:
        known = self._known(task_type, version)
        if known is not None:
            return known
        async with self._asking:
            now = asyncio.get_running_loop().time
            stale = [one for one in self._listed if not one.reachable or now() - one.asked_at > _FRESH]
            await asyncio.gather(*(one.ask(now) for one in stale))
        known = self._known(task_type, version)
        away = [one.connector.endpoint.address for one in self._listed if not one.reachable]
        if known is None and away:
            raise ConnectorUnavailableError(f"no connector for {task_type!r}; {', '.join(away)} cannot be reached")
        return known

    def _known(self, task_type: str, version: int) -> tuple[Connector, bool] | None:
        routed = [one for one in self._listed if task_type in one.connector.endpoint.task_types]
        for listed in routed or self._listed:
            versions, is_sync = listed.runs.get(task_type, (frozenset(), False))
            if version in versions or (task_type in listed.runs and not versions):
                return listed.connector, is_sync
        return (routed[0].connector, False) if routed and routed[0].reachable else None


def _runs(agents: Sequence[Agent]) -> dict[str, tuple[frozenset[int], bool]]:
    """Return the versions (none: all) of each task type, and whether it is synchronous."""
    runs: dict[str, tuple[frozenset[int], bool]] = {}
    for agent in agents:
        for task_type in agent.supported_task_types:
            runs.setdefault(task_type, (frozenset(), agent.is_sync))
        for category in agent.supported_task_categories:
            known = runs.get(category.name, (frozenset(), agent.is_sync))[0]
            runs[category.name] = known | {category.version}, agent.is_sync
    return runs
