"""The AgentMetadataService: which agents (connectors) run tasks for this platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.agent_pb2 import (
    Agent,
    GetAgentRequest,
    GetAgentResponse,
    ListAgentsRequest,
    ListAgentsResponse,
    TaskCategory,
)
from flyteidl.service.agent_pb2_grpc import AgentMetadataServiceServicer

from flyteform_controlplane.domain.validation import require
from flyteform_controlplane.errors import MissingEntityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_controlplane.domain.config import AgentConfig


class AgentService(AgentMetadataServiceServicer):
    """Serves the AgentMetadataService from what the operator has configured."""

    def __init__(self, agents: Sequence[AgentConfig]) -> None:
        self._agents = {agent.name: _message(agent) for agent in agents}

    async def GetAgent(self, request: GetAgentRequest, _context: object) -> GetAgentResponse:
        """Return one agent."""
        require(request.name, "name")
        if request.name not in self._agents:
            known = ", ".join(sorted(self._agents)) or "none"
            raise MissingEntityError(f"agent [{request.name}] not found", remedy=f"configured are: {known}")
        return GetAgentResponse(agent=self._agents[request.name])

    async def ListAgents(self, _request: ListAgentsRequest, _context: object) -> ListAgentsResponse:
        """Return all agents."""
        return ListAgentsResponse(agents=list(self._agents.values()))


def _message(agent: AgentConfig) -> Agent:
    categories = [TaskCategory(name=name, version=version) for name, version in agent.task_types]
    message = Agent(name=agent.name, is_sync=agent.is_sync, supported_task_categories=categories)
    # Deprecated, and what older clients read.
    message.supported_task_types.extend(category.name for category in categories)
    return message
