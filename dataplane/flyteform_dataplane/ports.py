"""What the runner of executions asks of the world: attempts, the cache, the report to the control plane.

The pure engine decides, the runner carries its commands to these ports and their answers back to it.
"""

from __future__ import annotations

from dataclasses import field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeAlias

from flyteidl.admin.matchable_resource_pb2 import TaskResourceAttributes

from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from flyteidl.admin.agent_pb2 import TaskExecutionMetadata
    from flyteidl.admin.execution_pb2 import Execution, ExecutionCreateRequest, ExecutionRecoverRequest
    from flyteidl.admin.node_execution_pb2 import NodeExecution
    from flyteidl.core.identifier_pb2 import Identifier, SignalIdentifier, WorkflowExecutionIdentifier
    from flyteidl.core.interface_pb2 import VariableMap
    from flyteidl.core.literals_pb2 import Literal, LiteralMap
    from flyteidl.core.tasks_pb2 import DataLoadingConfig, TaskTemplate
    from flyteidl.core.types_pb2 import LiteralType

    from flyteform.compiler import LaunchPlanInterface
    from flyteform.proto.flyteform.v1.events_pb2 import Event
    from flyteform_dataplane.engine.failures import Failure


@record
class Limits:
    """What an attempt may use; None where the task does not say. Memory in bytes, CPU in cores."""

    cpu: float | None = None
    memory: int | None = None
    gpu: int = 0


@record
class Copying:
    """What is copied for a command that knows nothing of Flyte: its inputs to files, and its outputs from files.

    `config` says where the command looks for them and how. `outputs` are the task's, with their types.
    """

    config: DataLoadingConfig
    outputs: VariableMap
    inputs_uri: str
    output_prefix: str
    raw_output_prefix: str


@record
class AttemptSpec:
    """One attempt of a task, ready to start: every template argument is filled in.

    `name` is deterministic, so starting it twice starts it once; its parts (execution, node, array index, attempt)
    are joined by slashes. `limits` is what is enforced, `requests` what the task would like to have. `task` is what
    attempts of one task in one execution have in common: a warning about it is said once. With `copying` the inputs
    are files before the command runs and the outputs are made from files after it.
    """

    name: str
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    requests: Limits = field(default_factory=Limits)
    limits: Limits = field(default_factory=Limits)
    task: str = ""
    copying: Copying | None = None


@record
class JobSpec:
    """One attempt of a task that a connector runs elsewhere: the template with its arguments filled in, the inputs.

    `name` is as an `AttemptSpec`'s. Outputs and errors are left under `output_prefix`, as a process leaves them.
    """

    name: str
    template: TaskTemplate
    inputs: LiteralMap
    output_prefix: str
    metadata: TaskExecutionMetadata


@record
class PodRequest:
    """One attempt of a task as a cluster is asked for it.

    `name` is as an `AttemptSpec`'s. `task` has the node's overrides applied, `arguments` are its command and its
    arguments with every template filled in, apart as the task has them; so has a pod that the task brings. With
    `copying` the inputs are files before the command runs and the outputs are made from files after it. `platform` is
    what tasks get that say nothing, and the most that any may have.
    """

    name: str
    task: TaskTemplate
    command: tuple[str, ...]
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    interruptible: bool = False
    copying: Copying | None = None
    platform: TaskResourceAttributes = field(default_factory=TaskResourceAttributes)


class AttemptPhase(Enum):
    """Where an attempt stands, as its executor sees it."""

    WAITING_FOR_RESOURCES = "waiting for resources"
    QUEUED = "queued"
    INITIALIZING = "initializing"
    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"


@record
class AttemptUpdate:
    """What an executor observed of one attempt.

    Before it runs, an attempt that waits longer than usual is told of with its `reason`, a sentence for people: it was
    refused room (WAITING_FOR_RESOURCES), has no machine yet (QUEUED), or is not ready there (INITIALIZING).
    `log_uri` is where people read its output; several places are lines of a name, a tab and a URI. On EXITED
    `exit_code` is the process's (negative: minus the number of the signal that killed it) and `reason` a sentence for
    people when the executor itself ended it or could not start it; `user_error` says whether that was the task's own
    doing (an unknown command, memory over its limit).
    `failure` is for executors that know better what an end without files means.
    LOST means that the executor does not know the attempt any more: it did not end by itself.
    """

    name: str
    phase: AttemptPhase
    at: datetime
    log_uri: str = ""
    exit_code: int | None = None
    reason: str = ""
    user_error: bool = False
    failure: Failure | None = None


# What an attempt is started by: each kind has its own executors.
AnyAttempt: TypeAlias = AttemptSpec | JobSpec | PodRequest


class Executor(Protocol):
    """Runs attempts: processes on this machine, or pods, and jobs of connectors."""

    async def start(self, attempt: AnyAttempt, observe: Callable[[AttemptUpdate], None]) -> None:
        """Start the attempt, or watch it if it runs already; `observe` is called from the event loop.

        Returns when the attempt is accepted; it may wait for room, and RUNNING is observed when it really runs.
        """
        ...

    async def stop(self, name: str) -> None:
        """End the attempt with its whole tree; no error if it is not there. Returns when nothing of it is left."""
        ...

    async def forget(self, execution: str) -> None:
        """End all attempts whose names begin with `execution` and a slash; nobody who watches them is told.

        A later start of one of these names runs it anew.
        """
        ...

    async def end(self, execution: str) -> None:
        """End what still runs of an execution that is over, also what was begun in a former life and is not known here.

        What has ended by itself stays as it is, for people to look at.
        """
        ...

    async def release(self, execution: str) -> None:
        """Watch the attempts of an execution no more, and begin none of them: somebody else has it.

        What runs goes on, and whoever starts it again watches it. Returns when nothing is on its way any more.
        """
        ...


@record
class CacheKey:
    """What a cached result is found by: the task, its cache version and interface, and its inputs."""

    task: TaskTemplate
    inputs: LiteralMap
    ignored: tuple[str, ...] = ()


@record
class CachedOutputs:
    """A hit: the outputs, and which execution made them (for people and for the event's catalog key)."""

    outputs: LiteralMap
    artifact_id: str
    tag: str
    dataset_name: str
    dataset_version: str
    source_project: str = ""
    source_domain: str = ""
    source_execution: str = ""
    source_node: str = ""
    source_attempt: int = 0


@record
class CacheSource:
    """Who made the outputs that are put into the cache."""

    execution: WorkflowExecutionIdentifier
    node: str
    attempt: int


class Catalog(Protocol):
    """The cache of task results; every failure is an `UnavailableError` and never fails a node."""

    async def get(self, key: CacheKey) -> CachedOutputs | None:
        """Return the cached outputs, or None for a miss."""
        ...

    async def put(self, key: CacheKey, outputs: LiteralMap, source: CacheSource, *, overwrite: bool) -> CachedOutputs:
        """Store the outputs; with `overwrite` replace what is there, else keep what came first."""
        ...

    async def reserve(self, key: CacheKey, owner: str, heartbeat: timedelta) -> bool:
        """Take or extend the right to compute the outputs; False while another owner has it.

        It expires after three heartbeats without being extended.
        """
        ...

    async def release(self, key: CacheKey, owner: str) -> None:
        """Give the right back; no error if the owner has it not."""
        ...


class Reporter(Protocol):
    """Tells the control plane, in order, until it has acknowledged."""

    def send(
        self, execution: WorkflowExecutionIdentifier, events: Sequence[tuple[int, Event]], *, again: bool = False
    ) -> None:
        """Queue events, each with its growing sequence number; returns at once.

        `again` says that they may have arrived before, so that it is no surprise if they did.
        """
        ...

    def hurry(self) -> None:
        """Send soon what is queued: somebody waits for its acknowledgement."""
        ...

    def drop(self, execution: WorkflowExecutionIdentifier) -> None:
        """Send nothing more of what is queued for the execution; nobody is told of its acknowledgement."""
        ...

    def on_acknowledged(self, observe: Callable[[WorkflowExecutionIdentifier, int], Awaitable[None]]) -> None:
        """Call `observe` with the highest sequence number up to which all events are acknowledged."""
        ...


class ControlPlane(Protocol):
    """What executions ask of the control plane, besides telling it of events.

    Every method raises `UnavailableError` while it cannot be reached, and another `FlyteformError` for good.
    """

    async def create(self, request: ExecutionCreateRequest) -> None:
        """Create an execution; `AlreadyExistsError` if there is one of that name."""
        ...

    async def recover(self, request: ExecutionRecoverRequest) -> None:
        """Create an execution that takes over what succeeded in another one; errors as those of `create`."""
        ...

    async def execution(self, name: WorkflowExecutionIdentifier) -> Execution:
        """Return an execution as it stands now; `NotFoundError` if there is none."""
        ...

    async def terminate(self, name: WorkflowExecutionIdentifier, cause: str) -> None:
        """Ask for the end of an execution; nothing happens if it has ended or never was."""
        ...

    async def outputs(self, name: WorkflowExecutionIdentifier) -> LiteralMap | None:
        """Return the outputs of an execution; None if they are too large to be told."""
        ...

    async def signal(self, name: SignalIdentifier, kind: LiteralType) -> Literal | None:
        """Return the value of a signal, None while it has none; it exists from then on."""
        ...

    async def nodes(self, name: WorkflowExecutionIdentifier, parent: str) -> Sequence[NodeExecution]:
        """Return the node executions of an execution that run below a node (`""`: at the top)."""
        ...

    async def launch_plan(self, name: Identifier) -> LaunchPlanInterface:
        """Return the interface of a launch plan; `NotFoundError` if there is none."""
        ...


class Clock(Protocol):
    """Time, so that tests can make it."""

    def now(self) -> datetime:
        """Return the current time, in UTC and with its zone."""
        ...

    async def sleep(self, duration: timedelta) -> None:
        """Wait."""
        ...
