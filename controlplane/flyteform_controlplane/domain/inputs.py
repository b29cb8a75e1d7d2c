"""The inputs of launch plans and executions: expected and given, and whether they fit (contract 1.3, 1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.interface_pb2 import Parameter, ParameterMap
from flyteidl.core.literals_pb2 import LiteralMap

from flyteform.compiler import literal_matches
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flyteidl.core.interface_pb2 import VariableMap
    from flyteidl.core.literals_pb2 import Literal
    from flyteidl.core.types_pb2 import LiteralType


def expected_inputs(workflow_inputs: VariableMap, defaults: ParameterMap, fixed: LiteralMap) -> ParameterMap:
    """Return what a launch plan asks for: its defaults, and as required every input that it leaves unbound."""
    variables = workflow_inputs.variables
    for name, parameter in defaults.parameters.items():
        if name not in variables:
            raise InvalidArgumentError(f"unexpected default_input {name}", remedy=_known(variables))
        if parameter.HasField("default") and not literal_matches(parameter.default, variables[name].type):
            raise InvalidArgumentError(
                f"invalid default_input wrong type {name}, expected {_kind(variables[name].type)}"
            )
    for name, value in fixed.literals.items():
        if name not in variables:
            raise InvalidArgumentError(f"unexpected fixed_input {name}", remedy=_known(variables))
        if name in defaults.parameters:
            raise InvalidArgumentError(f"fixed_input {name} also exists as a default_input")
        if not literal_matches(value, variables[name].type):
            raise InvalidArgumentError(f"invalid fixed_input wrong type {name}, expected {_kind(variables[name].type)}")
    expected = ParameterMap()
    expected.CopyFrom(defaults)
    for name, variable in variables.items():
        if name not in fixed.literals and name not in defaults.parameters:
            expected.parameters[name].CopyFrom(Parameter(var=variable, required=True))
    return expected


def resolve_inputs(given: LiteralMap, expected: ParameterMap, fixed: LiteralMap) -> LiteralMap:
    """Return what the workflow runs with: fixed values, given ones, and defaults for the rest."""
    resolved = LiteralMap()
    for name, value in given.literals.items():
        if name in fixed.literals:
            raise InvalidArgumentError(f"fixed_inputs {name} cannot be overridden")
        if name not in expected.parameters:
            raise InvalidArgumentError(f"invalid input {name}", remedy=_known(expected.parameters))
        _check(name, value, expected.parameters[name].var.type)
        resolved.literals[name].CopyFrom(value)
    for name, parameter in expected.parameters.items():
        if name in given.literals:
            continue
        if parameter.WhichOneof("behavior") == "required" and parameter.required:
            raise InvalidArgumentError(f"expected_inputs {name} missing", remedy=f"give a value for {name}")
        if parameter.HasField("default"):
            resolved.literals[name].CopyFrom(parameter.default)
    for name, value in fixed.literals.items():
        resolved.literals[name].CopyFrom(value)
    return resolved


def _check(name: str, value: Literal, expected: LiteralType) -> None:
    if not literal_matches(value, expected):
        found = value.scalar.primitive.WhichOneof("value") or value.scalar.WhichOneof("value")
        found = found or value.WhichOneof("value") or "nothing"
        raise InvalidArgumentError(f"invalid {name} input wrong type. Expected {_kind(expected)}, but got {found}")


def _kind(literal_type: LiteralType) -> str:
    return " ".join(str(literal_type).split())


def _known(names: Iterable[str]) -> str:
    known = ", ".join(sorted(names))
    return f"the inputs are {known}" if known else "it takes no inputs"
