"""Lists that are put together of stored bytes: each item is what the method for one of them returns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from flyteidl.admin.common_pb2 import NamedEntityIdentifier, ObjectGetRequest, ResourceListRequest
from flyteidl.admin.launch_plan_pb2 import ACTIVE, ActiveLaunchPlanListRequest, LaunchPlan
from flyteidl.admin.node_execution_pb2 import NodeExecutionGetRequest, NodeExecutionListRequest
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from flyteform_controlplane.services.wire import timestamp, varint
from support.admin import DOMAIN, PROJECT, World
from support.run import Run

if TYPE_CHECKING:
    from flyteidl.admin.workflow_pb2 import Workflow
    from flyteidl.core.identifier_pb2 import Identifier

SCOPE = NamedEntityIdentifier(project=PROJECT, domain=DOMAIN)


def page(filters: str = "") -> ResourceListRequest:
    """Ask for all, or for what meets the filters."""
    return ResourceListRequest(id=SCOPE, limit=100, filters=filters)


async def workflow(world: World, entity: Identifier) -> Workflow:
    """Return one by itself, without what lists leave out."""
    found: Workflow = await world.admin.GetWorkflow(ObjectGetRequest(id=entity), None)
    found.closure.ClearField("compiled_workflow")
    return found


async def launch_plan(world: World, entity: Identifier) -> LaunchPlan:
    """Return one by itself."""
    found: LaunchPlan = await world.admin.GetLaunchPlan(ObjectGetRequest(id=entity), None)
    return found


@pytest.mark.parametrize("filters", ["", "contains(name,wf)"])
async def test_workflows_are_listed_as_each_is(world: World, filters: str) -> None:
    """Names in any script, descriptions and times, with filters and without."""
    entities = [await world.register_workflow(name) for name in ("wf", "ẅf", "wf-工作流")]
    found = (await world.admin.ListWorkflows(page(filters), None)).workflows
    expected = [await workflow(world, entity) for entity in entities]
    assert list(found) == [one for one in expected if not filters or "wf" in one.id.name]


async def test_launch_plans_are_listed_as_each_is(world: World) -> None:
    """State and times are those of now, in the list of all and of the active ones."""
    plans = [await world.register_launch_plan(name) for name in ("one", "two")]
    await world.activate(plans[1])
    expected = [await launch_plan(world, plan) for plan in plans]
    assert expected[1].closure.state == ACTIVE
    assert list((await world.admin.ListLaunchPlans(page(), None)).launch_plans) == expected
    active = ActiveLaunchPlanListRequest(project=PROJECT, domain=DOMAIN, limit=100)
    assert list((await world.admin.ListActiveLaunchPlans(active, None)).launch_plans) == expected[1:]


async def test_nodes_are_listed_as_each_is(world: World) -> None:
    """Metadata, inputs and errors; a long error is cut, as lists do."""
    plan = await world.register_launch_plan("wf")
    run = Run(world, await world.execute(plan, "run", x=1), await world.register_task("other"))
    failed, short = (run.node(NodeExecution.FAILED, name) for name in ("n1", "n2"))
    failed.error.message, short.error.message = "e" * 10_000, "short"
    failed.input_uri, failed.is_array, failed.spec_node_id = "s3://inputs", True, "spec"
    await run.send(run.execution(WorkflowExecution.RUNNING), run.node(NodeExecution.RUNNING), failed, short)
    expected = [
        await world.admin.GetNodeExecution(NodeExecutionGetRequest(id=run.node_id(name)), None)
        for name in ("n0", "n1", "n2")
    ]
    length = world.admin.backend.config.list_error_message_length
    expected[1].closure.error.message = "e" * length
    request = NodeExecutionListRequest(workflow_execution_id=run.name, limit=100)
    assert list((await world.admin.ListNodeExecutions(request, None)).node_executions) == expected


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - the strategy adds the zone
def test_times_are_written_as_protobuf_reads_them(when: datetime) -> None:
    """Any time of any calendar year, before 1970 too; what it is merged with is gone."""
    expected = Timestamp()
    expected.FromDatetime(when)
    before = Timestamp(seconds=1, nanos=1).SerializeToString()
    assert Timestamp.FromString(timestamp(when)) == Timestamp.FromString(before + timestamp(when)) == expected


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_written_as_protobuf_reads_them(number: int) -> None:
    """Every number of 64 bits."""
    assert Timestamp.FromString(b"\x08" + varint(number)).seconds == number
