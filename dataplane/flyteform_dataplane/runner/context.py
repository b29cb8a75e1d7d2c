"""One execution's fixed facts: who it is, what it runs, and where its files lie (the layout is Flyte's)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform_dataplane.engine.graph import NodeKind, hashed
from flyteform_dataplane.engine.indexing import index_closure

if TYPE_CHECKING:
    from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.engine.graph import Deadlines, Graph


# Flyte's: a longer name of a child execution becomes a hash.
_CHILD_LENGTH = 20
_EXECUTION_NAME = re.compile(r"[a-z][a-z\-0-9]*")


def key_of(execution: WorkflowExecutionIdentifier) -> str:
    """Return the execution's unique name within a data plane."""
    return f"{execution.project}/{execution.domain}/{execution.name}"


@dataclass(frozen=True, slots=True)
class FormerNode:
    """What a node left in the execution that is recovered; each is empty where it left none."""

    succeeded: bool
    output_uri: str = ""
    checkpoint_uri: str = ""
    futures_uri: str = ""
    child: WorkflowExecutionIdentifier | None = None


@dataclass(frozen=True, slots=True)
class Attempted:
    """By which plugin an attempt runs, and whether where the machine can be taken away."""

    plugin: str
    interruptible: bool


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """What does not change while an execution runs, but for the nodes that dynamic tasks add.

    `dynamics` has what they made, by node and attempt. `former` has the nodes of the execution that this one recovers.
    `attempted` has the attempts that were started in this life of the data plane, by node and number.
    """

    lease: Lease
    graph: Graph
    dynamics: dict[str, dict[int, CompiledWorkflowClosure]] = field(default_factory=dict)
    former: dict[str, FormerNode] = field(default_factory=dict)
    attempted: dict[tuple[str, int], Attempted] = field(default_factory=dict)

    @classmethod
    def of(cls, lease: Lease, deadlines: Deadlines | None = None) -> ExecutionContext:
        """Index the lease's closure with the settings of its specification."""
        spec = lease.spec
        graph = index_closure(
            lease.closure,
            max_parallelism=spec.max_parallelism,
            overwrite_cache=spec.overwrite_cache,
            interruptible=spec.interruptible.value if spec.HasField("interruptible") else None,
            deadlines=deadlines,
        )
        return cls(lease, graph)

    @property
    def id(self) -> WorkflowExecutionIdentifier:
        """The execution."""
        return self.lease.id

    @property
    def workflow(self) -> Identifier:
        """The workflow that runs."""
        return self.lease.closure.primary.template.id

    def is_array(self, node: str) -> bool:
        """Whether the node maps over lists."""
        return self.graph.nodes[node].kind is NodeKind.ARRAY

    def inputs_uri(self, node: str) -> str:
        """Where the resolved inputs of a node lie."""
        return f"{self.lease.metadata_prefix}/{node}/data/inputs.pb"

    def output_prefix(self, node: str, index: int, attempt: int) -> str:
        """Where an attempt writes; the items of an array have a folder each."""
        item = f"{index}/" if self.is_array(node) else ""
        return f"{self.lease.metadata_prefix}/{node}/data/{item}{attempt}"

    def node_outputs_uri(self, node: str, attempt: int = 0) -> str:
        """Where the outputs of a whole node lie."""
        return f"{self.lease.metadata_prefix}/{node}/data/{attempt}/outputs.pb"

    def raw_output_prefix(self, node: str, index: int, attempt: int) -> str:
        """Where an attempt puts its raw data; the shard spreads the keys of an object store."""
        name = self.generated_name(node, index if self.is_array(node) else None, attempt)
        shard = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:2]
        return f"{self.lease.raw_output_prefix}/{shard}/{name}"

    def attempt_name(self, node: str, index: int, attempt: int) -> str:
        """Return the unique, deterministic name by which an executor knows the attempt."""
        item = f"{index}/" if self.is_array(node) else ""
        return f"{key_of(self.id)}/{node}/{item}{attempt}"

    def generated_name(self, node: str, index: int | None, attempt: int) -> str:
        """Return Flyte's name of the attempt, which people see."""
        item = "" if index is None else f"n{index}-"
        return f"{self.id.name}-{node}-{item}{attempt}"

    def child(self, node: str, index: int, attempt: int) -> WorkflowExecutionIdentifier:
        """Return the child execution that an attempt of a launch plan node is: named as in Flyte, or by a hash."""
        name = self.generated_name(node, index if self.is_array(node) else None, attempt)
        if len(name) > _CHILD_LENGTH or not _EXECUTION_NAME.fullmatch(name):
            name = hashed(name)
        return WorkflowExecutionIdentifier(project=self.id.project, domain=self.id.domain, name=name)
