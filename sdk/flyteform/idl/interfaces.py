"""Interfaces and literal maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteidl.core import interface_pb2, literals_pb2

from flyteform.types import literal_type, to_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flyteform.authoring.interface import Input, Interface, Output


def typed_interface(interface: Interface) -> interface_pb2.TypedInterface:
    """Return the interface; a variable's description is its name, as Flyte's own SDK writes it."""
    message = interface_pb2.TypedInterface()
    for variables, declared in ((message.inputs, interface.inputs), (message.outputs, interface.outputs)):
        variables.SetInParent()
        _fill(variables, declared)
    return message


def _fill(variables: interface_pb2.VariableMap, declared: Iterable[Input | Output]) -> None:
    for one in declared:
        variables.variables[one.name].CopyFrom(_variable(one))


def _variable(one: Input | Output) -> interface_pb2.Variable:
    return interface_pb2.Variable(type=literal_type(one.python_type), description=one.name)


def parameters(inputs: Iterable[Input]) -> interface_pb2.ParameterMap:
    """Return the inputs with their defaults; one without a default is required."""
    message = interface_pb2.ParameterMap()
    for one in inputs:
        parameter = message.parameters[one.name]
        parameter.var.CopyFrom(_variable(one))
        if one.required:
            parameter.required = True
        else:
            parameter.default.CopyFrom(to_literal(one.default, one.python_type))
    return message


def literal_map(values: Mapping[str, Any], interface: Interface) -> literals_pb2.LiteralMap:
    """Return input values as literals of the types that the interface declares."""
    message = literals_pb2.LiteralMap()
    for name, value in values.items():
        message.literals[name].CopyFrom(to_literal(value, interface.inputs_by_name[name].python_type))
    return message
