"""One execution's fixed facts: who it is, what it runs, and where its files lie (the layout is Flyte's)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import field
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakValueDictionary

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.proto.flyteform.v1.link_pb2 import Lease
from flyteform_dataplane.engine.graph import NodeKind, hashed
from flyteform_dataplane.engine.indexing import index_closure
from flyteform_dataplane.records import record

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform_dataplane.engine.graph import Deadlines, Graph


# Flyte's: a longer name of a child execution becomes a hash.
_CHILD_LENGTH = 20
_EXECUTION_NAME = re.compile(r"[a-z][a-z\-0-9]*")


def key_of(execution: WorkflowExecutionIdentifier) -> str:
    """Return the execution's unique name within a data plane."""
    return f"{execution.project}/{execution.domain}/{execution.name}"


@record
class FormerNode:
    """What a node left in the execution that is recovered; each is empty where it left none."""

    succeeded: bool
    output_uri: str = ""
    checkpoint_uri: str = ""
    futures_uri: str = ""
    child: WorkflowExecutionIdentifier | None = None


@record
class Attempted:
    """By which plugin an attempt runs, and whether where the machine can be taken away."""

    plugin: str
    interruptible: bool


class _Settings(NamedTuple):
    max_parallelism: int
    overwrite_cache: bool
    interruptible: bool | None
    deadlines: Deadlines | None


# A thousand executions of one version of a workflow are nothing unusual, and its closure may be megabytes.
_graphs: WeakValueDictionary[tuple[bytes, _Settings], Graph] = WeakValueDictionary()


@record
class ExecutionContext:
    """What does not change while an execution runs, but for the nodes that dynamic tasks add.

    `lease` is without its closure, of which the `graph` has all. `pristine` is the graph as executions of the same
    workflow share it, for as long as there are any. `dynamics` has what dynamic tasks made, by node and attempt.
    `former` has the nodes of the execution that this one recovers. `attempted` has the attempts that were started in
    this life of the data plane, by node and number.
    """

    lease: Lease
    graph: Graph
    pristine: Graph
    dynamics: dict[str, dict[int, CompiledWorkflowClosure]] = field(default_factory=dict)
    former: dict[str, FormerNode] = field(default_factory=dict)
    attempted: dict[tuple[str, int], Attempted] = field(default_factory=dict)

    @classmethod
    def of(cls, lease: Lease, deadlines: Deadlines | None = None) -> ExecutionContext:
        """Index the lease's closure with the settings of its specification."""
        spec, closure = lease.spec, lease.closure.SerializeToString(deterministic=True)
        settings = _Settings(
            max_parallelism=spec.max_parallelism,
            overwrite_cache=spec.overwrite_cache,
            interruptible=spec.interruptible.value if spec.HasField("interruptible") else None,
            deadlines=deadlines,
        )
        pristine = _graphs.get((closure, settings))
        if pristine is None:
            pristine = _graphs[closure, settings] = index_closure(
                CompiledWorkflowClosure.FromString(closure), **settings._asdict()
            )
        return cls(_without_closure(lease), pristine.copy(), pristine)

    @property
    def id(self) -> WorkflowExecutionIdentifier:
        """The execution."""
        return self.lease.id

    @property
    def workflow(self) -> Identifier:
        """The workflow that runs."""
        return self.graph.workflows[""].id

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
        return outputs_uri(self.lease, node, attempt)

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


def outputs_uri(lease: Lease, node: str, attempt: int = 0) -> str:
    """Where the outputs of a whole node of the lease's execution lie."""
    return f"{lease.metadata_prefix}/{node}/data/{attempt}/outputs.pb"


def _without_closure(lease: Lease) -> Lease:
    """Return a lease of its own memory: a field that is cleared keeps its place until its message is gone."""
    cleared, own = Lease(), Lease()
    cleared.CopyFrom(lease)
    cleared.ClearField("closure")
    own.CopyFrom(cleared)
    return own
