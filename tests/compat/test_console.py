"""FlyteConsole's pages, as requests: REST with protobuf bodies, its filters and sort keys, and the same as JSON."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from flyteidl.admin import (
    common_pb2,
    description_entity_pb2,
    event_pb2,
    execution_pb2,
    launch_plan_pb2,
    node_execution_pb2,
    project_domain_attributes_pb2,
    project_pb2,
    signal_pb2,
    task_execution_pb2,
    task_pb2,
    version_pb2,
    workflow_pb2,
)
from flyteidl.core.execution_pb2 import NodeExecution, TaskLog, WorkflowExecution
from flyteidl.core.identifier_pb2 import ResourceType, WorkflowExecutionIdentifier
from flyteidl.service import dataproxy_pb2, identity_pb2

from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from support.admin import DOMAIN, PROJECT, identifier, integers, task_spec, workflow_spec
from support.propeller import Propeller

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

SCOPE = f"{PROJECT}/{DOMAIN}"
M = TypeVar("M", bound="Message")


class Console:
    """A browser at the REST interface."""

    def __init__(self, base: str) -> None:
        self._base = base

    def get(self, path: str, answer: type[M], **query: object) -> M:
        """Ask for protobuf, as all pages do."""
        return answer.FromString(self._call("GET", path, None, query))

    def json(self, path: str, **query: object) -> Any:
        """Ask for JSON."""
        return json.loads(self._call("GET", path, None, query, accept="application/json"))

    def send(self, verb: str, path: str, message: Message, answer: type[M]) -> M:
        """Send protobuf."""
        return answer.FromString(self._call(verb, path, message.SerializeToString(), {}))

    def _call(
        self,
        verb: str,
        path: str,
        body: bytes | None,
        query: dict[str, object],
        accept: str = "application/octet-stream",
    ) -> bytes:
        full = f"{self._base}{path if path.startswith('/') else f'/api/v1/{path}'}?{urllib.parse.urlencode(query)}"
        headers = {"Accept": accept, "Content-Type": "application/octet-stream"}
        request = urllib.request.Request(full, data=body, headers=headers, method=verb)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
            assert response.headers["Content-Type"] == accept
            return bytes(response.read())


class Events:
    """AdminService's event methods over REST."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def CreateWorkflowEvent(self, request: Message) -> None:  # noqa: N802 - named as the method
        """Report an execution."""
        self._console.send("POST", "events/workflows", request, event_pb2.WorkflowExecutionEventResponse)

    def CreateNodeEvent(self, request: Message) -> None:  # noqa: N802 - named as the method
        """Report a node."""
        self._console.send("POST", "events/nodes", request, event_pb2.NodeExecutionEventResponse)

    def CreateTaskEvent(self, request: Message) -> None:  # noqa: N802 - named as the method
        """Report an attempt."""
        self._console.send("POST", "events/tasks", request, event_pb2.TaskExecutionEventResponse)


async def test_pages(tmp_path: Path) -> None:
    """Every page of the console gets what it shows, and every button does what it says."""
    running = ControlPlane(ControlPlaneSettings(state_dir=tmp_path / "platform", grpc_port=0, http_port=0))
    console = Console((await running.start()).http)
    try:
        await asyncio.to_thread(_walk, console, tmp_path / "platform" / "objects")
    finally:
        await running.stop()


def _walk(console: Console, objects: Path) -> None:
    _register(console)
    _projects(console)
    launched = _launch(console, "shown")
    _report(console, objects, launched)
    _dashboard(console)
    _entities(console)
    _execution(console, launched)
    _buttons(console, launched)
    _signals(console)


def _register(console: Console) -> None:
    task = task_spec("greet")
    task.description.short_description = "greets"
    create = task_pb2.TaskCreateRequest(id=task.template.id, spec=task)
    console.send("POST", "tasks", create, task_pb2.TaskCreateResponse)
    workflow = workflow_spec("hello", "v1", task.template.id)
    made = workflow_pb2.WorkflowCreateRequest(id=workflow.template.id, spec=workflow)
    console.send("POST", "workflows", made, workflow_pb2.WorkflowCreateResponse)
    plan = launch_plan_pb2.LaunchPlanCreateRequest(id=identifier(ResourceType.LAUNCH_PLAN, "hello"))
    plan.spec.workflow_id.CopyFrom(workflow.template.id)
    console.send("POST", "launch_plans", plan, launch_plan_pb2.LaunchPlanCreateResponse)


def _projects(console: Console) -> None:
    """Select a project; the frame around all pages."""
    projects = console.get("projects", project_pb2.Projects).projects
    assert [domain.id for domain in projects[0].domains] == ["development", "staging", "production"]
    assert console.json("projects")["projects"][0]["id"] == PROJECT
    assert console.get("version", version_pb2.GetVersionResponse).control_plane_version.Version
    assert console.get("/me", identity_pb2.UserInfoResponse) is not None
    answer = project_domain_attributes_pb2.ProjectDomainAttributesGetResponse
    with pytest.raises(urllib.error.HTTPError) as refused:
        console.get(f"project_domain_attributes/{SCOPE}", answer, resource_type="WORKFLOW_EXECUTION_CONFIG")
    with refused.value:
        assert refused.value.code == 404  # as the page expects where nothing is set


def _launch(console: Console, name: str, **fields: Any) -> WorkflowExecutionIdentifier:
    spec = execution_pb2.ExecutionSpec(launch_plan=identifier(ResourceType.LAUNCH_PLAN, "hello"), **fields)
    request = execution_pb2.ExecutionCreateRequest(
        project=PROJECT, domain=DOMAIN, name=name, spec=spec, inputs=integers(x=3)
    )
    made: WorkflowExecutionIdentifier = console.send(
        "POST", "executions", request, execution_pb2.ExecutionCreateResponse
    ).id
    return made


def _report(console: Console, objects: Path, execution: WorkflowExecutionIdentifier) -> None:
    run = Propeller(Events(console), objects, execution)
    deck = objects / "deck.html"
    objects.mkdir(exist_ok=True)
    deck.write_text("<b>deck</b>")
    run.workflow(WorkflowExecution.RUNNING)
    run.node("n0", NodeExecution.QUEUED, NodeExecution.RUNNING)
    task = identifier(ResourceType.TASK, "greet")
    run.task("n0", task, integers(o0=6), logs=[TaskLog(uri="http://127.0.0.1/logs", name="Logs")])
    run.node("n0", NodeExecution.SUCCEEDED, outputs=integers(o0=6), deck_uri=deck.as_uri())
    run.finished(integers(o0=6))


def _dashboard(console: Console) -> None:
    """List executions with the filters and the order that the pages send."""
    newest = {"limit": 10, "sort_by.key": "created_at", "sort_by.direction": "DESCENDING"}

    def names(filters: str) -> list[str]:
        found = console.get(f"executions/{SCOPE}", execution_pb2.ExecutionList, filters=filters, **newest)
        return [execution.id.name for execution in found.executions]

    for filters in (
        "eq(state,0)",
        "value_in(phase,SUCCEEDED;FAILED)",
        "eq(phase,SUCCEEDED)",
        "gte(started_at,2020-01-01T00:00:00Z)",
        "lte(duration,100)",
        "eq(workflow.name,hello)",
        "eq(workflow.name,hello)+eq(workflow.version,v1)",
        "eq(launch_plan.name,hello)",
        "eq(state,0)+value_in(phase,SUCCEEDED)+eq(workflow.name,hello)",
    ):
        assert names(filters) == ["shown"], filters
    for filters in ("eq(state,1)", "eq(phase,FAILED)", "eq(task.name,greet)", "eq(user,nobody)", "gt(duration,1000)"):
        assert names(filters) == [], filters
    shown = console.json(f"executions/{SCOPE}", filters="eq(phase,SUCCEEDED)", **newest)["executions"][0]
    assert shown["closure"]["phase"] == "SUCCEEDED"


def _entities(console: Console) -> None:
    """List entities, their details, their versions."""
    by_name = {"limit": 100, "sort_by.key": "name", "sort_by.direction": "ASCENDING"}
    for kind in ("TASK", "WORKFLOW", "LAUNCH_PLAN"):
        found = console.get(
            f"named_entities/{kind}/{SCOPE}", common_pb2.NamedEntityList, filters="eq(state,0)", **by_name
        )
        assert [entity.id.name for entity in found.entities] == ["greet" if kind == "TASK" else "hello"]
    number = console.json(f"named_entities/2/{SCOPE}", **by_name)["entities"]
    assert [entity["id"]["name"] for entity in number] == ["hello"]
    newest = {"limit": 10, "sort_by.key": "created_at", "sort_by.direction": "DESCENDING"}
    workflow = console.get(f"workflows/{SCOPE}/hello", workflow_pb2.WorkflowList, **newest).workflows[0]
    graph = console.get(f"workflows/{SCOPE}/hello/v1", workflow_pb2.Workflow).closure.compiled_workflow
    assert workflow.id.version == graph.primary.template.id.version == "v1"
    assert {node.id for node in graph.primary.template.nodes} == {"start-node", "n0", "end-node"}
    assert console.get(f"task_ids/{SCOPE}", common_pb2.NamedEntityIdentifierList, limit=10).entities[0].name == "greet"
    assert (
        console.get(f"workflow_ids/{SCOPE}", common_pb2.NamedEntityIdentifierList, limit=10).entities[0].name == "hello"
    )
    task = console.get(f"tasks/{SCOPE}/greet/v1", task_pb2.Task).closure.compiled_task.template
    assert task.container.image == "img:1"
    assert console.get(f"tasks/{SCOPE}/greet", task_pb2.TaskList, **newest).tasks[0].id.name == "greet"
    of_workflow = "eq(workflow.name,hello)+eq(workflow.version,v1)"
    plans = console.get(f"launch_plans/{SCOPE}", launch_plan_pb2.LaunchPlanList, filters=of_workflow, **newest)
    assert [plan.id.name for plan in plans.launch_plans] == ["hello"]
    plan = console.get(f"launch_plans/{SCOPE}/hello/v1", launch_plan_pb2.LaunchPlan)
    assert plan.closure.expected_inputs.parameters["x"].required
    scheduled = console.get(
        f"launch_plans/{SCOPE}/hello", launch_plan_pb2.LaunchPlanList, filters="eq(state,1)", **newest
    )
    assert not scheduled.launch_plans
    described = console.get(f"description_entities/TASK/{SCOPE}/greet/v1", description_entity_pb2.DescriptionEntity)
    assert described.short_description == "greets"
    listed = description_entity_pb2.DescriptionEntityList
    assert len(console.get(f"description_entities/TASK/{SCOPE}/greet", listed, **newest).descriptionEntities) == 1


def _execution(console: Console, execution: WorkflowExecutionIdentifier) -> None:
    """Show one execution: nodes, attempts, inputs and outputs, deck, times."""
    path = f"{SCOPE}/{execution.name}"
    shown = console.get(f"executions/{path}", execution_pb2.Execution)
    assert shown.closure.phase == WorkflowExecution.SUCCEEDED
    data = console.get(f"data/executions/{path}", execution_pb2.WorkflowExecutionGetDataResponse)
    assert (data.full_inputs, data.full_outputs) == (integers(x=3), integers(o0=6))
    ordered = {"limit": 10000, "sort_by.key": "created_at", "sort_by.direction": "ASCENDING"}
    nodes = console.get(f"node_executions/{path}", node_execution_pb2.NodeExecutionList, **ordered).node_executions
    assert [(node.id.node_id, node.closure.phase) for node in nodes] == [("n0", NodeExecution.SUCCEEDED)]
    below = console.get(
        f"node_executions/{path}", node_execution_pb2.NodeExecutionList, unique_parent_id="n0", **ordered
    )
    assert not below.node_executions
    node = console.get(f"node_executions/{path}/n0", node_execution_pb2.NodeExecution)
    assert node.closure.deck_uri
    node_data = console.get(f"data/node_executions/{path}/n0", node_execution_pb2.NodeExecutionGetDataResponse)
    assert node_data.full_outputs == integers(o0=6)
    assert node_data.flyte_urls.deck.startswith("flyte://")
    attempts = console.get(
        f"task_executions/{path}/n0", task_execution_pb2.TaskExecutionList, **ordered
    ).task_executions
    assert [log.name for log in attempts[0].closure.logs] == ["Logs"]
    attempt = f"{path}/n0/{SCOPE}/greet/v1/0"
    assert console.get(f"task_executions/{attempt}", task_execution_pb2.TaskExecution).id == attempts[0].id
    attempt_data = console.get(f"data/task_executions/{attempt}", task_execution_pb2.TaskExecutionGetDataResponse)
    assert attempt_data.full_inputs == integers(n=3)
    children = console.get(f"children/task_executions/{attempt}", node_execution_pb2.NodeExecutionList, **ordered)
    assert not children.node_executions
    spans = console.get(f"metrics/executions/{path}", execution_pb2.WorkflowExecutionGetMetricsResponse, depth=10)
    assert spans.span.workflow_id.name == execution.name
    link = dataproxy_pb2.CreateDownloadLinkRequest(
        artifact_type=dataproxy_pb2.ARTIFACT_TYPE_DECK, node_execution_id=node.id
    )
    made = console.send("POST", "dataproxy/artifact_link", link, dataproxy_pb2.CreateDownloadLinkResponse)
    with urllib.request.urlopen(made.pre_signed_urls.signed_url[0], timeout=10) as response:  # noqa: S310 - loopback
        assert response.read() == b"<b>deck</b>"


def _buttons(console: Console, execution: WorkflowExecutionIdentifier) -> None:
    """Launch with everything of the form, relaunch, recover, terminate, archive."""
    form = {
        "labels": common_pb2.Labels(values={"a": "b"}),
        "max_parallelism": 7,
        "overwrite_cache": True,
        "raw_output_data_config": common_pb2.RawOutputDataConfig(output_location_prefix="s3://bucket/raw"),
    }
    launched = _launch(console, "", **form)
    spec = console.get(f"executions/{SCOPE}/{launched.name}", execution_pb2.Execution).spec
    assert [spec.labels.values["a"], spec.max_parallelism, spec.overwrite_cache] == ["b", 7, True]
    assert spec.raw_output_data_config.output_location_prefix == "s3://bucket/raw"
    terminate = execution_pb2.ExecutionTerminateRequest(id=launched, cause="by hand")
    console.send("DELETE", f"executions/{SCOPE}/{launched.name}", terminate, execution_pb2.ExecutionTerminateResponse)
    ended = console.get(f"executions/{SCOPE}/{launched.name}", execution_pb2.Execution).closure
    assert ended.abort_metadata.cause == "by hand"
    for verb, request, mode in (
        ("relaunch", execution_pb2.ExecutionRelaunchRequest(id=execution), execution_pb2.ExecutionMetadata.RELAUNCH),
        ("recover", execution_pb2.ExecutionRecoverRequest(id=launched), execution_pb2.ExecutionMetadata.RECOVERED),
    ):
        again = console.send("POST", f"executions/{verb}", request, execution_pb2.ExecutionCreateResponse).id
        found = console.get(f"executions/{SCOPE}/{again.name}", execution_pb2.Execution)
        assert found.spec.metadata.mode == mode
        assert found.spec.metadata.reference_execution.name == request.id.name
    archive = execution_pb2.ExecutionUpdateRequest(id=execution, state=execution_pb2.EXECUTION_ARCHIVED)
    console.send("PUT", f"executions/{SCOPE}/{execution.name}", archive, execution_pb2.ExecutionUpdateResponse)
    archived = console.get(f"executions/{SCOPE}", execution_pb2.ExecutionList, limit=10, filters="eq(state,1)")
    assert [found.id.name for found in archived.executions] == [execution.name]
    hide = common_pb2.NamedEntityUpdateRequest(
        resource_type=ResourceType.WORKFLOW,
        id=common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name="hello"),
        metadata=common_pb2.NamedEntityMetadata(state=common_pb2.NAMED_ENTITY_ARCHIVED),
    )
    console.send("PUT", f"named_entities/WORKFLOW/{SCOPE}/hello", hide, common_pb2.NamedEntityUpdateResponse)
    hidden = {"limit": 10, "filters": "eq(state,1)"}
    found = console.get(f"named_entities/WORKFLOW/{SCOPE}", common_pb2.NamedEntityList, **hidden)
    assert [entity.id.name for entity in found.entities] == ["hello"]


def _signals(console: Console) -> None:
    """Show the gate's panel of an execution without gates."""
    waiting = _launch(console, "waiting")
    signals = console.get(f"signals/{SCOPE}/{waiting.name}", signal_pb2.SignalList, limit=10)
    assert not signals.signals
    answer = signal_pb2.SignalSetRequest(value=integers(x=1).literals["x"])
    answer.id.signal_id, _ = "nowhere", answer.id.execution_id.CopyFrom(waiting)
    with pytest.raises(urllib.error.HTTPError) as refused:
        console.send("POST", "signals", answer, signal_pb2.SignalSetResponse)
    with refused.value:
        assert refused.value.code == 400
