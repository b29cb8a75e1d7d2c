"""Every method of every service, asked with messages that nobody sane would send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.admin.event_pb2 import NodeExecutionEventRequest, TaskExecutionEventRequest, WorkflowExecutionEventRequest
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionSpec
from flyteidl.admin.launch_plan_pb2 import LaunchPlanCreateRequest, LaunchPlanSpec
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.admin.workflow_pb2 import WorkflowCreateRequest
from flyteidl.core import execution_pb2 as phases
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, ResourceType, WorkflowExecutionIdentifier
from flyteidl.core.types_pb2 import LiteralType, SimpleType
from flyteidl.datacatalog import datacatalog_pb2 as catalog
from flyteidl.event.event_pb2 import NodeExecutionEvent, TaskExecutionEvent, WorkflowExecutionEvent
from google.protobuf import descriptor_pool
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # type: ignore[import-untyped] # ships no types
    ProtoReflectionDescriptorDatabase,
)
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from support.admin import DOMAIN, PROJECT, identifier, integer, integers, task_spec, workflow_spec
from support.hostile import EXAMPLES, messages, spoiled

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import MethodDescriptor
    from google.protobuf.message import Message

    from robustness.conftest import Server

BAD = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
}
SECONDS = 20.0
MANY = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a generator's number has no smaller form
    suppress_health_check=list(HealthCheck),
)

TASK, WORKFLOW = identifier(ResourceType.TASK, "t"), identifier(ResourceType.WORKFLOW, "w")
PLAN = identifier(ResourceType.LAUNCH_PLAN, "lp")
RUN = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="e1")
NODE = NodeExecutionIdentifier(node_id="n0", execution_id=RUN)
AT = Timestamp(seconds=1_700_000_000)
DATASET = catalog.DatasetID(project=PROJECT, domain=DOMAIN, name="d", version="v1")
VALID: dict[str, Message] = {
    "CreateTask": TaskCreateRequest(id=TASK, spec=task_spec("t")),
    "CreateWorkflow": WorkflowCreateRequest(id=WORKFLOW, spec=workflow_spec("w", "v1", TASK)),
    "CreateLaunchPlan": LaunchPlanCreateRequest(id=PLAN, spec=LaunchPlanSpec(workflow_id=WORKFLOW)),
    "CreateExecution": ExecutionCreateRequest(
        project=PROJECT, domain=DOMAIN, name="e1", spec=ExecutionSpec(launch_plan=PLAN), inputs=integers(x=1)
    ),
    "CreateWorkflowEvent": WorkflowExecutionEventRequest(
        event=WorkflowExecutionEvent(execution_id=RUN, phase=phases.WorkflowExecution.RUNNING, occurred_at=AT)
    ),
    "CreateNodeEvent": NodeExecutionEventRequest(
        event=NodeExecutionEvent(
            id=NODE, phase=phases.NodeExecution.RUNNING, occurred_at=AT, spec_node_id="n0", input_uri="file:///x"
        )
    ),
    "CreateTaskEvent": TaskExecutionEventRequest(
        event=TaskExecutionEvent(
            task_id=TASK, parent_node_execution_id=NODE, phase=phases.TaskExecution.RUNNING, occurred_at=AT
        )
    ),
    "CreateDataset": catalog.CreateDatasetRequest(dataset=catalog.Dataset(id=DATASET, partitionKeys=["k"])),
    "CreateArtifact": catalog.CreateArtifactRequest(
        artifact=catalog.Artifact(
            id="a",
            dataset=DATASET,
            data=[catalog.ArtifactData(name="o0", value=integer(1))],
            partitions=[catalog.Partition(key="k", value="v")],
        )
    ),
}
# Registered under another name each time, so that what is not refused is new.
NAMES: dict[str, Callable[[Any, str], None]] = {
    "CreateTask": lambda request, name: setattr(request.id, "version", name),
    "CreateWorkflow": lambda request, name: setattr(request.id, "version", name),
    "CreateLaunchPlan": lambda request, name: setattr(request.id, "version", name),
    "CreateExecution": lambda request, name: setattr(request, "name", name),
    "CreateNodeEvent": lambda request, name: setattr(request.event.id, "node_id", name),
    "CreateArtifact": lambda request, name: setattr(request.artifact, "id", name),
}


def services(channel: grpc.Channel) -> list[MethodDescriptor]:
    """Ask the server which methods it serves."""
    names = ProtoReflectionDescriptorDatabase(channel).get_services()
    own = [name for name in names if not name.startswith("grpc.")]
    pool = descriptor_pool.Default()
    return [method for name in own for method in pool.FindServiceByName(name).methods]


def call(server: Server, method: MethodDescriptor, request: Message) -> grpc.StatusCode:
    """Call the method; a stream is sent one message and then ended."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    decode = GetMessageClass(method.output_type).FromString
    try:
        if method.client_streaming:
            stream = server.channel.stream_stream(name, _bytes_of, decode)
            for _ in stream(iter([request]), timeout=SECONDS):
                pass
        else:
            server.channel.unary_unary(name, _bytes_of, decode)(request, timeout=SECONDS)
    except grpc.RpcError as error:
        refusal: Any = error
        assert refusal.code() not in BAD, f"{name}: {refusal.code()} {refusal.details()}\n{str(request)[:3000]}"
        code: grpc.StatusCode = refusal.code()
        return code
    return grpc.StatusCode.OK


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


@pytest.fixture(scope="module", autouse=True)
def entities(server: Server) -> None:
    """Register what the plausible names name, so that messages get past the look-ups."""
    methods = {method.name: method for method in services(server.channel)}
    for name, request in VALID.items():
        assert call(server, methods[name], request) is grpc.StatusCode.OK, name


def check(server: Server, method: MethodDescriptor, request: Message) -> None:
    """Call, and if that is refused compare every table's number of rows with what it was."""
    before = server.rows()
    if call(server, method, request) is not grpc.StatusCode.OK:
        assert server.rows() == before, f"{method.full_name} refused, and half-written:\n{str(request)[:3000]}"


def test_any_message_gets_a_clean_answer(server: Server) -> None:
    """Random messages of every request type are answered or refused on purpose, and refusals write nothing."""
    wrong = [failure for method in services(server.channel) if (failure := _failure(server, method))]
    assert not wrong, "\n\n".join(wrong)


def _failure(server: Server, method: MethodDescriptor) -> str:
    @seed(0)
    @MANY
    @given(messages(method.input_type))
    def ask(request: Message) -> None:
        check(server, method, request)

    try:
        ask()
    except AssertionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", VALID)
def test_a_damaged_message_gets_a_clean_answer(server: Server, name: str) -> None:
    """Valid registrations and launches with one thing wrong are refused on purpose, or are as good as before."""
    method = next(method for method in services(server.channel) if method.name == name)

    @seed(0)
    @settings(MANY, max_examples=EXAMPLES * 4)
    @given(spoiled(lambda: VALID[name]), st.integers(0, 10**9))
    def ask(request: Message, number: int) -> None:
        if name in NAMES and number % 4:
            NAMES[name](request, f"x{number}")
        check(server, method, request)

    ask()


NO_TEXT = b"\x0a\x02\xff\xfe"
GARBAGE = [b"\xff", NO_TEXT, b"\x0b" * 10_000, b"\x0a\x80" * 50_000]


def raw(server: Server, method: MethodDescriptor, data: bytes) -> grpc.StatusCode:
    """Send bytes as they are."""
    name = f"/{method.containing_service.full_name}/{method.name}"
    try:
        if method.client_streaming:
            for _ in server.channel.stream_stream(name)(iter([data]), timeout=SECONDS):
                pass
        else:
            server.channel.unary_unary(name)(data, timeout=SECONDS)
    except grpc.RpcError as error:
        refusal: Any = error
        code: grpc.StatusCode = refusal.code()
        return code
    return grpc.StatusCode.OK


@pytest.mark.parametrize("garbage", GARBAGE)
def test_bytes_that_are_no_message(server: Server, garbage: bytes) -> None:
    """What cannot be decoded is the caller's mistake, whichever method it is sent to."""
    for method in services(server.channel):
        name = f"/{method.containing_service.full_name}/{method.name}"
        # Text that is no UTF-8 is an unknown field to some.
        allowed = {grpc.StatusCode.INVALID_ARGUMENT} if garbage != NO_TEXT else set(grpc.StatusCode) - BAD
        assert raw(server, method, garbage) in allowed, name


@pytest.mark.parametrize("levels", [40, 80])
def test_deep_nesting(server: Server, levels: int) -> None:
    """Types within types, as deep as a message can be, are registered and can be read again."""
    methods = {method.name: method for method in services(server.channel)}
    nested = LiteralType(simple=SimpleType.INTEGER)
    for _ in range(levels):
        nested = LiteralType(collection_type=nested)
    spec = task_spec("t", f"deep{levels}")
    spec.template.interface.inputs.variables["x"].type.CopyFrom(nested)
    task = identifier(ResourceType.TASK, "t", f"deep{levels}")
    assert call(server, methods["CreateTask"], TaskCreateRequest(id=task, spec=spec)) is grpc.StatusCode.OK
    assert call(server, methods["GetTask"], ObjectGetRequest(id=task)) is grpc.StatusCode.OK
