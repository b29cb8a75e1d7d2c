"""Every list method with filters, sort keys and tokens that mean harm."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from flyteidl.admin import (
    common_pb2,
    description_entity_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    project_pb2,
    signal_pb2,
    task_execution_pb2,
)
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, ResourceType, WorkflowExecutionIdentifier
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyteform_controlplane.domain.filters import Entity, Function
from flyteform_controlplane.errors import InvalidArgumentError, MissingEntityError
from flyteform_controlplane.services.signals import SignalService
from support.admin import DOMAIN, PROJECT, World, open_world

NAME = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)
RUN = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="run")
SCOPE = {"project": PROJECT, "domain": DOMAIN}
WORKFLOW = ResourceType.WORKFLOW
METHODS: dict[str, Any] = {
    "ListTasks": common_pb2.ResourceListRequest(id=NAME),
    "ListWorkflows": common_pb2.ResourceListRequest(id=NAME),
    "ListLaunchPlans": common_pb2.ResourceListRequest(id=NAME),
    "ListExecutions": common_pb2.ResourceListRequest(id=NAME),
    "ListTaskIds": common_pb2.NamedEntityIdentifierListRequest(**SCOPE),
    "ListActiveLaunchPlans": launch_plan_pb2.ActiveLaunchPlanListRequest(**SCOPE),
    "ListNamedEntities": common_pb2.NamedEntityListRequest(resource_type=WORKFLOW, **SCOPE),
    "ListDescriptionEntities": description_entity_pb2.DescriptionEntityListRequest(resource_type=WORKFLOW, id=NAME),
    "ListProjects": project_pb2.ProjectListRequest(),
    "ListNodeExecutions": node_execution_pb2.NodeExecutionListRequest(workflow_execution_id=RUN),
    "ListTaskExecutions": task_execution_pb2.TaskExecutionListRequest(
        node_execution_id=NodeExecutionIdentifier(node_id="n0", execution_id=RUN)
    ),
    "ListSignals": signal_pb2.SignalListRequest(workflow_execution_id=RUN),
}
COLUMNS = (
    *("id", "created_at", "deleted_at", "project", "name", "version", "phase", "state", "duration", "closure", "spec"),
    *("execution_name", "user", "labels", "key", "digest", "started_at", "mode", "retry_attempt", "identifier"),
)
INJECTIONS = (
    "'; DROP TABLE projects; --",
    "1) OR 1=1 --",
    "name) UNION SELECT 1",
    "%",
    "\\",
    "\x00",
    "\ud7ff",
    "1e999",
)
texts = st.sampled_from(INJECTIONS) | st.text(max_size=20)
fields = st.sampled_from(COLUMNS) | texts
prefixes = st.sampled_from(["", *(f"{entity.value}." for entity in Entity)]) | texts
filters = st.builds(
    "{}({}{},{})".format, st.sampled_from([one.value for one in Function]) | texts, prefixes, fields, texts
)
calls = st.tuples(
    st.sampled_from(sorted(METHODS)),
    st.lists(filters, max_size=3).map("+".join),
    st.just("") | fields,
    st.just("") | texts | st.integers(0, 10**18).map(str),
    st.integers(0, 2**31 - 1),
)


async def ask(world: World, call: tuple[str, str, str, str, int]) -> None:
    """Call the method; only a page or a refusal of the request may come back."""
    method, filters, key, token, limit = call
    request = type(METHODS[method])()
    request.CopyFrom(METHODS[method])
    request.limit, request.token, request.sort_by.key = limit, token, key
    if hasattr(request, "filters"):
        request.filters = filters
    service = SignalService(world.admin.backend) if method == "ListSignals" else world.admin
    with suppress(InvalidArgumentError, MissingEntityError):
        await getattr(service, method)(request, None)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.large_base_example, HealthCheck.too_slow])
@given(st.lists(calls, min_size=40, max_size=40))
def test_no_list_request_is_an_internal_error_or_changes_anything(
    requests: list[tuple[str, str, str, str, int]],
) -> None:
    """Whatever filters, sort keys, tokens and limits say, the answer is a page or INVALID_ARGUMENT, and rows stay."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as directory:
            async with open_world(Path(directory)) as world:
                await world.execute(await world.register_launch_plan("wf"), "run", x=1)
                for one in requests:
                    await ask(world, one)
                assert len((await world.admin.ListProjects(project_pb2.ProjectListRequest(), None)).projects) == 1
                listing = common_pb2.ResourceListRequest(id=NAME, limit=10)
                assert len((await world.admin.ListExecutions(listing, None)).executions) == 1

    asyncio.run(run())
