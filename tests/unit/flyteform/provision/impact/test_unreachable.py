"""What cannot be asked is unknown, and no reason not to plan: services that a platform does not have."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc.aio
from flyteidl.core import tasks_pb2

from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.provision.impact.assess import assess
from flyteform.provision.impact.survey import survey
from flyteform.provision.model import Action, Address, Change, Desired, Entity, Kind
from flyteform.provision.observed import Observed, ObservedVersion
from support.plans import task_spec, workflow, workflow_spec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from flyteform.client.admin import AdminClient

TASK, WORKFLOW = Address(Kind.TASK, "p", "d", "m.t"), Address(Kind.WORKFLOW, "p", "d", "m.w")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def cached(version: str) -> tasks_pb2.TaskTemplate:
    """Return a cached task."""
    template = tasks_pb2.TaskTemplate()
    template.metadata.discoverable = True
    template.metadata.discovery_version = version
    return template


@asynccontextmanager
async def nothing_served() -> AsyncIterator[AdminClient]:
    """Run a server without any service, which answers UNIMPLEMENTED to everything, and give a client of it."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with connect(ClientConfig(f"127.0.0.1:{port}", insecure=True)) as client:
            yield client
    finally:
        await server.stop(None)


async def test_what_cannot_be_asked_is_unknown() -> None:
    """Without DataCatalog nobody knows how much is cached, without a list of executions how many run: it is said so."""
    desired = Desired(
        entities=(Entity(TASK, "v2", task_spec(cached("2"))), Entity(WORKFLOW, "v2", workflow_spec(workflow())))
    )
    before = {
        TASK: ObservedVersion("v1", {}, cached("1").SerializeToString()),
        WORKFLOW: ObservedVersion("v1", {}, workflow().SerializeToString()),
    }
    changes = tuple(Change(Action.NEW_VERSION, each, "changed", "v2", "v1") for each in (TASK, WORKFLOW))
    async with nothing_served() as client:
        facts = await survey(client, desired, Observed(latest=before), changes)
    task, flow = assess(changes, desired, facts, NOW)
    assert [each.message for each in task.impacts] == [
        "an unknown number of cached results will no longer be found: cache version 1 → 2"
    ]
    assert dict(task.impacts[0].fields)["entries"] == "unknown"
    assert [each.message for each in flow.impacts] == [
        "an unknown number of executions is in flight: they cannot be listed"
    ]


async def test_a_plan_without_changes_asks_for_nothing() -> None:
    """Where nothing changes there is no call at all, so even this server does."""
    desired = Desired(entities=(Entity(TASK, "v2", task_spec(cached("2"))),))
    changes = (Change(Action.NO_OP, TASK, "is registered", "v2"),)
    async with nothing_served() as client:
        facts = await survey(client, desired, Observed(), changes)
        assert client.caller.sent.total() == 0
    assert assess(changes, desired, facts, NOW) == changes
