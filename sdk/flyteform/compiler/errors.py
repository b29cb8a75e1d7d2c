"""What can be wrong with a task or a workflow: the kinds that Flyte's compiler knows, all collected."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable


class ErrorKind(StrEnum):
    """The codes of Flyte 1's compiler, by the text that it prints.

    Some are in its vocabulary only: neither Flyte nor this compiler raises MISMATCHING_INTERFACES,
    INCONSISTENT_TYPES, NO_ENTRY_NODE_FOUND or VALUE_COLLISION today.
    """

    CYCLE_DETECTED = "CycleDetected"
    BRANCH_NODE_ID_NOT_FOUND = "BranchNodeIdNotFound"
    BRANCH_NODE_HAS_NO_CONDITION = "BranchNodeHasNoCondition"
    BRANCH_NODE_HAS_NO_DEFAULT = "BranchNodeHasNoDefault"
    VALUE_REQUIRED = "ValueRequired"
    INVALID_VALUE = "InvalidValue"
    NODE_REFERENCE_NOT_FOUND = "NodeReferenceNotFound"
    TASK_REFERENCE_NOT_FOUND = "TaskReferenceNotFound"
    WORKFLOW_REFERENCE_NOT_FOUND = "WorkflowReferenceNotFound"
    VARIABLE_NAME_NOT_FOUND = "VariableNameNotFound"
    DUPLICATE_ALIAS = "DuplicateAlias"
    DUPLICATE_ID = "DuplicateId"
    MISMATCHING_TYPES = "MismatchingTypes"
    MISMATCHING_BINDINGS = "MismatchingBindings"
    MISMATCHING_INTERFACES = "MismatchingInterfaces"
    MISMATCHING_VARIABLES = "MismatchingVariables"
    INCONSISTENT_TYPES = "InconsistentTypes"
    PARAMETER_BOUND_MORE_THAN_ONCE = "ParameterBoundMoreThanOnce"
    PARAMETER_NOT_BOUND = "ParameterNotBound"
    NO_ENTRY_NODE_FOUND = "NoEntryNodeFound"
    UNREACHABLE_NODES = "UnreachableNodes"
    UNRECOGNIZED_VALUE = "UnrecognizedValue"
    WORKFLOW_BUILD_ERROR = "WorkflowBuildError"
    VALUE_COLLISION = "ValueCollision"
    SYNTAX_ERROR = "SyntaxError"
    NO_NODES_FOUND = "NoNodesFound"
    ILLEGAL_ENUM_VALUE = "IllegalEnumValue"
    AMBIGUOUS_BINDING_UNION_VALUE = "AmbiguousBindingUnionValue"
    INCOMPATIBLE_BINDING_UNION_VALUE = "IncompatibleBindingUnionValue"
    NO_CONDITION_FOUND = "NoConditionFound"
    FIELD_NOT_FOUND = "FieldNotFound"
    INVALID_LITERAL_TYPE = "InvalidLiteralType"


@dataclass(frozen=True, slots=True)
class CompileError:
    """One finding: its kind, the node (or part of a task) that it is about, and a sentence for people."""

    kind: ErrorKind
    node_id: str
    description: str

    def __str__(self) -> str:
        """Render as Flyte does, so that clients which parse the text find what they know."""
        return f"Code: {self.kind.value}, Node Id: {self.node_id}, Description: {self.description}"


class CompileErrors(InvalidInputError):  # noqa: N818 - the name says that it holds all of them
    """A task or workflow does not compile; `errors` holds every finding, sorted by kind and text."""

    code = "CompileFailed"

    def __init__(self, errors: Iterable[CompileError]) -> None:
        self.errors = tuple(sorted(set(errors), key=lambda error: (error.kind.value, str(error))))
        lines = [f"Collected Errors: {len(self.errors)}\n"]
        lines += [f"\tError {index}: {error}\n" for index, error in enumerate(self.errors)]
        super().__init__("".join(lines), remedy="Correct every error in the list and register again.")

    @property
    def kinds(self) -> frozenset[ErrorKind]:
        """The distinct kinds among the findings."""
        return frozenset(error.kind for error in self.errors)


@dataclass(slots=True)
class Collector:
    """Gathers findings while the compiler goes on; `len` only grows, so a caller can see whether a step added any."""

    found: list[CompileError] = field(default_factory=list)

    def add(self, kind: ErrorKind, node_id: str, description: str) -> None:
        """Record one finding."""
        self.found.append(CompileError(kind, node_id, description))

    def value_required(self, node_id: str, name: str) -> None:
        """Record that the field `name` is missing, the most frequent finding."""
        self.add(ErrorKind.VALUE_REQUIRED, node_id, f"Value required [{name}].")

    def not_bound(self, node_id: str, name: str) -> None:
        """Record that the input or output `name` has no value."""
        self.add(ErrorKind.PARAMETER_NOT_BOUND, node_id, f"Parameter not bound [{name}].")

    def __len__(self) -> int:
        return len(self.found)

    def __bool__(self) -> bool:
        return bool(self.found)

    def raise_if_any(self) -> None:
        """Raise CompileErrors when anything was found."""
        if self.found:
            raise CompileErrors(self.found)
