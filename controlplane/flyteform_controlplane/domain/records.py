"""The rows of the store as values: one frozen dataclass per table, its fields named as the columns.

Messages are parsed; nobody changes one that a record holds: who needs another one copies it. `id` is 0 until saved.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.admin.common_pb2 import NAMED_ENTITY_ACTIVE, Labels
from flyteidl.admin.description_entity_pb2 import Description
from flyteidl.admin.execution_pb2 import EXECUTION_ACTIVE
from flyteidl.admin.launch_plan_pb2 import INACTIVE
from flyteidl.admin.project_pb2 import Project

from flyteform_controlplane.domain.times import now

if TYPE_CHECKING:
    from datetime import datetime

    from flyteidl.admin.common_pb2 import NamedEntityState
    from flyteidl.admin.execution_pb2 import ExecutionClosure, ExecutionSpec, ExecutionState
    from flyteidl.admin.launch_plan_pb2 import LaunchPlanClosure, LaunchPlanSpec, LaunchPlanState
    from flyteidl.admin.matchable_resource_pb2 import MatchingAttributes
    from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure, NodeExecutionMetaData
    from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure
    from flyteidl.admin.task_pb2 import TaskClosure
    from flyteidl.core.identifier_pb2 import ResourceType
    from flyteidl.core.interface_pb2 import TypedInterface
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.core.types_pb2 import LiteralType


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What every row has; times are UTC."""

    id: int = 0
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRecord(Record):
    """A project; `state` is Project.ProjectState."""

    identifier: str
    name: str
    description: str = ""
    labels: Labels = field(default_factory=Labels)
    state: Project.ProjectState = Project.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityRecord(Record):
    """A version of a task, workflow or launch plan."""

    project: str
    domain: str
    name: str
    version: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord(EntityRecord):
    """A registered task."""

    closure: TaskClosure
    type: str
    short_description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRecord(EntityRecord):
    """A registered workflow; its closure is an object at `remote_closure_identifier`."""

    typed_interface: TypedInterface
    remote_closure_identifier: str
    short_description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlanRecord(EntityRecord):
    """A registered launch plan; `state` is LaunchPlanState, `schedule_type` NONE, CRON or RATE."""

    spec: LaunchPlanSpec
    workflow_id: int
    closure: LaunchPlanClosure
    state: LaunchPlanState = INACTIVE
    schedule_type: str = "NONE"
    launch_condition_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEntityRecord(Record):
    """What is known of a name over all its versions; `state` is NamedEntityState."""

    resource_type: ResourceType
    project: str
    domain: str
    name: str
    description: str = ""
    state: NamedEntityState = NAMED_ENTITY_ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptionRecord(Record):
    """The documentation of a version."""

    resource_type: ResourceType
    project: str
    domain: str
    name: str
    version: str
    short_description: str = ""
    long_description: Description = field(default_factory=Description)
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchableRecord(Record):
    """Attributes for what matches: a blank field matches everything, the highest priority wins."""

    project: str = ""
    domain: str = ""
    workflow: str = ""
    launch_plan: str = ""
    resource_type: str
    priority: int
    attributes: MatchingAttributes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord(Record):
    """An execution; `phase` is a name of WorkflowExecution.Phase, `duration` nanoseconds."""

    execution_project: str
    execution_domain: str
    execution_name: str
    launch_plan_id: int | None = None
    workflow_id: int | None = None
    task_id: int | None = None
    phase: str
    closure: ExecutionClosure
    spec: ExecutionSpec
    started_at: datetime | None = None
    execution_created_at: datetime | None = None
    execution_updated_at: datetime | None = None
    duration: int = 0
    abort_cause: str = ""
    mode: int = 0
    source_execution_id: int | None = None
    parent_node_execution_id: int | None = None
    cluster: str = ""
    inputs_uri: str = ""
    user_inputs_uri: str = ""
    error_kind: str | None = None
    error_code: str | None = None
    user: str = ""
    state: ExecutionState = EXECUTION_ACTIVE
    launch_entity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionTagRecord(Record):
    """A tag that an execution was launched with."""

    execution_project: str
    execution_domain: str
    execution_name: str
    key: str
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExecutionRecord(Record):
    """The execution of a node; `phase` is a name of NodeExecution.Phase, `duration` nanoseconds."""

    execution_project: str
    execution_domain: str
    execution_name: str
    node_id: str
    phase: str
    input_uri: str = ""
    closure: NodeExecutionClosure
    started_at: datetime | None = None
    node_execution_created_at: datetime | None = None
    node_execution_updated_at: datetime | None = None
    duration: int = 0
    node_execution_metadata: NodeExecutionMetaData
    parent_id: int | None = None
    parent_task_execution_id: int | None = None
    error_kind: str | None = None
    error_code: str | None = None
    cache_status: str | None = None
    dynamic_workflow_remote_closure_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExecutionRecord(Record):
    """An attempt; `project` to `version` name the task, `phase` is a name of TaskExecution.Phase."""

    execution_project: str
    execution_domain: str
    execution_name: str
    node_id: str
    project: str
    domain: str
    name: str
    version: str
    retry_attempt: int
    phase: str
    phase_version: int = 0
    input_uri: str = ""
    closure: TaskExecutionClosure
    started_at: datetime | None = None
    task_execution_created_at: datetime | None = None
    task_execution_updated_at: datetime | None = None
    duration: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRecord(Record):
    """A gate's signal; `value` None until it is set."""

    execution_project: str
    execution_domain: str
    execution_name: str
    signal_id: str
    type: LiteralType
    value: Literal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionEventRecord(Record):
    """A phase that an execution entered."""

    execution_project: str
    execution_domain: str
    execution_name: str
    request_id: str
    occurred_at: datetime
    phase: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeExecutionEventRecord(ExecutionEventRecord):
    """A phase that a node entered."""

    node_id: str
