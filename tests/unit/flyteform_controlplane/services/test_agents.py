"""The agents that an operator has configured."""

from __future__ import annotations

import pytest
from flyteidl.admin.agent_pb2 import GetAgentRequest, ListAgentsRequest

from flyteform_controlplane.domain.config import AdminConfig, AgentConfig
from flyteform_controlplane.errors import MissingEntityError
from flyteform_controlplane.services.agents import AgentService


async def test_configured_agents_are_listed_and_found() -> None:
    """ListAgents and GetAgent answer what is configured, in the newer and the older field."""
    service = AgentService((AgentConfig("databricks", (("spark", 1), ("sql", 0))), AgentConfig("sensor", is_sync=True)))
    listed = (await service.ListAgents(ListAgentsRequest(), None)).agents
    assert [agent.name for agent in listed] == ["databricks", "sensor"]
    found = (await service.GetAgent(GetAgentRequest(name="databricks"), None)).agent
    assert [(one.name, one.version) for one in found.supported_task_categories] == [("spark", 1), ("sql", 0)]
    assert list(found.supported_task_types) == ["spark", "sql"]
    assert listed[1].is_sync
    assert not found.is_sync


async def test_without_configuration_there_are_none() -> None:
    """The default lists no agent, and asking for one is NOT_FOUND."""
    service = AgentService(AdminConfig().agents)
    assert not (await service.ListAgents(ListAgentsRequest(), None)).agents
    with pytest.raises(MissingEntityError, match="agent \\[x\\] not found"):
        await service.GetAgent(GetAgentRequest(name="x"), None)
