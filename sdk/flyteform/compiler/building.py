"""What the steps of a compilation share: the library of known entities, and the workflow that is being built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteidl.core import interface_pb2

from flyteform.compiler.graph import Edges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.core.compiler_pb2 import CompiledTask, CompiledWorkflow
    from flyteidl.core.identifier_pb2 import Identifier
    from flyteidl.core.interface_pb2 import ParameterMap, TypedInterface, Variable, VariableMap
    from flyteidl.core.literals_pb2 import LiteralMap
    from flyteidl.core.types_pb2 import LiteralType
    from flyteidl.core.workflow_pb2 import Node

    from flyteform.compiler.errors import Collector
    from flyteform.compiler.ids import IdKey


@dataclass(frozen=True, slots=True)
class LaunchPlanInterface:
    """What a workflow may give to a launch plan that it calls, and what it gets back."""

    id: Identifier
    expected_inputs: ParameterMap
    fixed_inputs: LiteralMap
    outputs: VariableMap


@dataclass(frozen=True, slots=True)
class Library:
    """The entities that nodes may refer to; tasks and sub-workflows are the compiler's own copies."""

    tasks: Mapping[IdKey, CompiledTask]
    launch_plans: Mapping[IdKey, LaunchPlanInterface]
    sub_workflows: Mapping[IdKey, CompiledWorkflow]


@dataclass(slots=True, eq=False)
class NodeState:
    """A node of the closure with what compilation found out about it.

    `interface` stays None while it could not be worked out. `inner` holds the nodes inside a branch, in order.
    """

    message: Node
    interface: TypedInterface | None = None
    inner: list[NodeState] = field(default_factory=list)
    outputs: dict[str, Variable] | None = None

    @property
    def id(self) -> str:
        """The node's id, which changes when a node inside a branch is renamed."""
        return self.message.id


@dataclass(slots=True, eq=False)
class Build:
    """One workflow under compilation. `nodes` are the top-level nodes met so far, by id."""

    workflow: CompiledWorkflow
    library: Library
    errors: Collector
    nodes: dict[str, NodeState] = field(default_factory=dict)
    edges: Edges = field(default_factory=Edges)


def make_interface(inputs: Mapping[str, LiteralType], outputs: Mapping[str, LiteralType]) -> TypedInterface:
    """Make an interface from types alone."""
    interface = interface_pb2.TypedInterface()
    for types, target in ((inputs, interface.inputs), (outputs, interface.outputs)):
        target.SetInParent()
        for name, kind in types.items():
            target.variables[name].type.CopyFrom(kind)
    return interface


def check_interface(node_id: str, interface: TypedInterface, errors: Collector) -> bool:
    """Give an interface both of its sides (as Flyte does, in place) and check that each variable has a type."""
    before = len(errors)
    for side in (interface.inputs, interface.outputs):
        side.SetInParent()
        for name, variable in side.variables.items():
            if not name:
                errors.value_required(node_id, "paramName")
            if not variable.HasField("type"):
                errors.value_required(node_id, "param.Type")
    return len(errors) == before
