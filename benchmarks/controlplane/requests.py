"""The requests of the load, serialized beforehand, so that sending one costs the client little."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from itertools import count, repeat
from typing import TYPE_CHECKING

from flyteidl.admin import (
    common_pb2,
    event_pb2,
    execution_pb2,
    launch_plan_pb2,
    task_pb2,
    workflow_pb2,
)
from flyteidl.core import execution_pb2 as core_execution
from flyteidl.core import identifier_pb2, interface_pb2, literals_pb2, tasks_pb2, types_pb2
from flyteidl.core import workflow_pb2 as core_workflow
from flyteidl.event import event_pb2 as events

from flyteform.proto.flyteform.v1 import events_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

PROJECT, DOMAIN = "flytesnacks", "development"
ADMIN = "/flyteidl.service.AdminService/"
REPORT_EVENTS = "/flyteform.v1.EventService/ReportEvents"
NODES = 10
PAGE = 100
BATCH = 100
TASK = "bench.step"
EXECUTION = "bench"
NODE = "parent"
PRODUCER = ""
INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)


@dataclass(frozen=True, slots=True)
class Subject:
    """A method under load: the requests of one worker by its number, and how many units of work a request is."""

    name: str
    path: str
    stream: Callable[[str], Iterator[bytes]]
    writes: bool = False
    units: int = 1


def identifier(kind: int, name: str, version: str) -> identifier_pb2.Identifier:
    """Return the identifier of a version."""
    return identifier_pb2.Identifier(
        resource_type=identifier_pb2.ResourceType.Name(kind), project=PROJECT, domain=DOMAIN, name=name, version=version
    )


def execution(name: str) -> identifier_pb2.WorkflowExecutionIdentifier:
    """Return the identifier of an execution."""
    return identifier_pb2.WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name)


def task(version: str) -> task_pb2.TaskCreateRequest:
    """Return the registration of a small container task: one integer in, one out."""
    variables = {"x": interface_pb2.Variable(type=INTEGER, description="a number")}
    outputs = {"o0": interface_pb2.Variable(type=INTEGER, description="o0")}
    template = tasks_pb2.TaskTemplate(
        id=identifier(identifier_pb2.TASK, TASK, version),
        type="python-task",
        metadata=tasks_pb2.TaskMetadata(
            runtime=tasks_pb2.RuntimeMetadata(type=tasks_pb2.RuntimeMetadata.FLYTE_SDK, version="1", flavor="python"),
            retries=literals_pb2.RetryStrategy(retries=3),
        ),
        interface=interface_pb2.TypedInterface(
            inputs=interface_pb2.VariableMap(variables=variables),
            outputs=interface_pb2.VariableMap(variables=outputs),
        ),
        container=tasks_pb2.Container(
            image="registry.example/flyteform:1",
            args=[
                "flyteform-execute",
                "--inputs",
                "{{.input}}",
                "--output-prefix",
                "{{.outputPrefix}}",
                "--task",
                "step",
            ],
            env=[literals_pb2.KeyValuePair(key="FLYTE_INTERNAL_IMAGE", value="registry.example/flyteform:1")],
        ),
    )
    return task_pb2.TaskCreateRequest(id=template.id, spec=task_pb2.TaskSpec(template=template))


def workflow(version: str) -> workflow_pb2.WorkflowCreateRequest:
    """Return the registration of a chain of tasks."""
    step = core_workflow.TaskNode(reference_id=identifier(identifier_pb2.TASK, TASK, "v0"))
    nodes = []
    for number in range(NODES):
        source = types_pb2.OutputReference(node_id=f"n{number - 1}" if number else "", var="o0" if number else "x")
        binding = literals_pb2.Binding(var="x", binding=literals_pb2.BindingData(promise=source))
        nodes.append(
            core_workflow.Node(
                id=f"n{number}",
                metadata=core_workflow.NodeMetadata(name=f"step {number}"),
                inputs=[binding],
                upstream_node_ids=[f"n{number - 1}"] if number else [],
                task_node=step,
            )
        )
    last = types_pb2.OutputReference(node_id=f"n{NODES - 1}", var="o0")
    template = core_workflow.WorkflowTemplate(
        id=identifier(identifier_pb2.WORKFLOW, "bench.chain", version),
        interface=interface_pb2.TypedInterface(
            inputs=interface_pb2.VariableMap(variables={"x": interface_pb2.Variable(type=INTEGER)}),
            outputs=interface_pb2.VariableMap(variables={"o0": interface_pb2.Variable(type=INTEGER)}),
        ),
        nodes=nodes,
        outputs=[literals_pb2.Binding(var="o0", binding=literals_pb2.BindingData(promise=last))],
    )
    spec = workflow_pb2.WorkflowSpec(template=template)
    return workflow_pb2.WorkflowCreateRequest(id=template.id, spec=spec)


def launch_plan(version: str) -> launch_plan_pb2.LaunchPlanCreateRequest:
    """Return the registration of a launch plan of the chain."""
    spec = launch_plan_pb2.LaunchPlanSpec(
        workflow_id=identifier(identifier_pb2.WORKFLOW, "bench.chain", "v0"),
        default_inputs=interface_pb2.ParameterMap(
            parameters={"x": interface_pb2.Parameter(var=interface_pb2.Variable(type=INTEGER), required=True)}
        ),
    )
    plan = identifier(identifier_pb2.LAUNCH_PLAN, "bench.chain", version)
    return launch_plan_pb2.LaunchPlanCreateRequest(id=plan, spec=spec)


def creation(name: str) -> execution_pb2.ExecutionCreateRequest:
    """Return the request for an execution of the chain."""
    number = literals_pb2.Literal(scalar=literals_pb2.Scalar(primitive=literals_pb2.Primitive(integer=7)))
    return execution_pb2.ExecutionCreateRequest(
        project=PROJECT,
        domain=DOMAIN,
        name=name,
        spec=execution_pb2.ExecutionSpec(launch_plan=identifier(identifier_pb2.LAUNCH_PLAN, "bench.chain", "v0")),
        inputs=literals_pb2.LiteralMap(literals={"x": number}),
    )


def node_event(node: str, phase: int) -> event_pb2.NodeExecutionEventRequest:
    """Return an event of a node of the execution that everybody reports on."""
    event = events.NodeExecutionEvent(
        id=identifier_pb2.NodeExecutionIdentifier(node_id=node, execution_id=execution(EXECUTION)),
        producer_id=PRODUCER,
        phase=core_execution.NodeExecution.Phase.Name(phase),
        input_uri=f"s3://bucket/metadata/propeller/{PROJECT}-{DOMAIN}-{EXECUTION}/{node}/data/inputs.pb",
        node_name=node,
        spec_node_id=node,
        event_version=1,
    )
    event.occurred_at.GetCurrentTime()
    event.reported_at.GetCurrentTime()
    return event_pb2.NodeExecutionEventRequest(request_id=secrets.token_hex(8), event=event)


def task_event(version: str, attempt: int, phase: int) -> event_pb2.TaskExecutionEventRequest:
    """Return an event of an attempt at a task of that version, in the node that is there from the start."""
    event = events.TaskExecutionEvent(
        task_id=identifier(identifier_pb2.TASK, TASK, version),
        parent_node_execution_id=identifier_pb2.NodeExecutionIdentifier(
            node_id=NODE, execution_id=execution(EXECUTION)
        ),
        retry_attempt=attempt,
        phase=core_execution.TaskExecution.Phase.Name(phase),
        producer_id=PRODUCER,
        task_type="python-task",
        input_uri=f"s3://bucket/metadata/propeller/{PROJECT}-{DOMAIN}-{EXECUTION}/{NODE}/data/inputs.pb",
        event_version=1,
    )
    event.occurred_at.GetCurrentTime()
    event.reported_at.GetCurrentTime()
    return event_pb2.TaskExecutionEventRequest(request_id=secrets.token_hex(8), event=event)


def page(name: str = "", token: str = "") -> common_pb2.ResourceListRequest:
    """Return the request for a page, newest first when no name is given."""
    scope = common_pb2.NamedEntityIdentifier(project=PROJECT, domain=DOMAIN, name=name)
    newest = None if name else common_pb2.Sort(key="created_at", direction=common_pb2.Sort.DESCENDING)
    return common_pb2.ResourceListRequest(id=scope, limit=PAGE, sort_by=newest, token=token)


def prepare() -> list[tuple[str, bytes]]:
    """Return the calls that make what the load refers to, pages to list among it."""
    calls: list[tuple[str, Message]] = [
        *((f"{ADMIN}CreateTask", task(f"v{number}")) for number in range(PAGE)),
        (f"{ADMIN}CreateWorkflow", workflow("v0")),
        (f"{ADMIN}CreateLaunchPlan", launch_plan("v0")),
        (f"{ADMIN}CreateExecution", creation(EXECUTION)),
        *((f"{ADMIN}CreateExecution", creation(f"page{number}")) for number in range(PAGE)),
        (f"{ADMIN}CreateNodeEvent", node_event(NODE, core_execution.NodeExecution.RUNNING)),
    ]
    return [(path, message.SerializeToString()) for path, message in calls]


def _versions(make: Callable[[str], Message]) -> Callable[[str], Iterator[bytes]]:
    return lambda worker: (make(f"{worker}x{number}").SerializeToString() for number in count())


def _node_events(worker: str) -> Iterator[event_pb2.NodeExecutionEventRequest]:
    return (node_event(f"{worker}x{number}", phase) for number in count() for phase in _NODE_PHASES)


def _task_events(worker: str) -> Iterator[bytes]:
    return (task_event(worker, number, phase).SerializeToString() for number in count() for phase in _TASK_PHASES)


def _batches(worker: str) -> Iterator[bytes]:
    single = _node_events(worker)
    while True:
        batch = [events_pb2.Event(node=next(single)) for _ in range(BATCH)]
        yield events_pb2.ReportEventsRequest(events=batch).SerializeToString()


def _always(message: Message) -> Callable[[str], Iterator[bytes]]:
    return lambda _worker: repeat(message.SerializeToString())


_PHASES = core_execution.NodeExecution
_NODE_PHASES = (_PHASES.QUEUED, _PHASES.RUNNING, _PHASES.SUCCEEDED)
_ATTEMPTS = core_execution.TaskExecution
_TASK_PHASES = (_ATTEMPTS.QUEUED, _ATTEMPTS.RUNNING, _ATTEMPTS.SUCCEEDED)
_GET_TASK = common_pb2.ObjectGetRequest(id=identifier(identifier_pb2.TASK, TASK, "v0"))
_GET_EXECUTION = execution_pb2.WorkflowExecutionGetRequest(id=execution(EXECUTION))

# In this order: what is listed is not yet many times what was prepared when the lists are measured.
SUBJECTS = (
    Subject("GetTask", f"{ADMIN}GetTask", _always(_GET_TASK)),
    Subject("GetExecution", f"{ADMIN}GetExecution", _always(_GET_EXECUTION)),
    Subject(f"ListTasks of {PAGE}", f"{ADMIN}ListTasks", _always(page(TASK))),
    Subject(f"ListExecutions of {PAGE}", f"{ADMIN}ListExecutions", _always(page())),
    Subject("CreateTask", f"{ADMIN}CreateTask", _versions(task), writes=True),
    Subject(f"CreateWorkflow of {NODES} nodes", f"{ADMIN}CreateWorkflow", _versions(workflow), writes=True),
    Subject("CreateLaunchPlan", f"{ADMIN}CreateLaunchPlan", _versions(launch_plan), writes=True),
    Subject("CreateExecution", f"{ADMIN}CreateExecution", _versions(creation), writes=True),
    Subject(
        "CreateNodeEvent",
        f"{ADMIN}CreateNodeEvent",
        lambda worker: (event.SerializeToString() for event in _node_events(worker)),
        writes=True,
    ),
    Subject("CreateTaskEvent", f"{ADMIN}CreateTaskEvent", _task_events, writes=True),
    Subject(f"events in batches of {BATCH}", REPORT_EVENTS, _batches, writes=True, units=BATCH),
)
