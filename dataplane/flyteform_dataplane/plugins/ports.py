"""What a plugin is given and what it returns."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Protocol

from flyteidl.admin.matchable_resource_pb2 import TaskResourceAttributes

from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.tasks_pb2 import TaskTemplate

    from flyteform_dataplane.ports import AnyAttempt


@record
class TaskContext:
    """All that one attempt is about. URIs have no slash at their end.

    `inputs` are those of this attempt (an item's own), while `inputs_uri` names the file of the whole node.
    `index` is None for a plain task. `previous_checkpoint` is empty for a first attempt. `platform` is what tasks get
    that say nothing, and the most that any may have.
    """

    name: str
    execution: WorkflowExecutionIdentifier
    workflow: Identifier
    node: str
    index: int | None
    attempt: int
    task: TaskTemplate
    inputs: LiteralMap
    inputs_uri: str
    output_prefix: str
    raw_output_prefix: str
    previous_checkpoint: str = ""
    task_template_uri: str = ""
    console_url: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    interruptible: bool = False
    platform: TaskResourceAttributes = field(default_factory=TaskResourceAttributes)

    @property
    def checkpoint_prefix(self) -> str:
        """Where this attempt writes its checkpoints."""
        return f"{self.raw_output_prefix}/_flytecheckpoints"


class Plugin(Protocol):
    """Knows how to run some task types."""

    @property
    def id(self) -> str:
        """Its name in overrides of plugins."""
        ...

    @property
    def task_types(self) -> tuple[str, ...]:
        """The task types that it runs."""
        ...

    def prepare(self, context: TaskContext) -> AnyAttempt | LiteralMap:
        """Return the attempt to start, or the outputs of a task that needs none; `UserError` if it can't be."""
        ...


class Connectors(Protocol):
    """Knows which task types run elsewhere."""

    def routes(self, task_type: str) -> bool:
        """Whether tasks of this type go to a connector whatever else could run them."""
        ...

    async def claims(self, task_type: str, version: int) -> bool:
        """Whether a connector runs them; `UnavailableError` when none is known to, but one could not be asked."""
        ...
