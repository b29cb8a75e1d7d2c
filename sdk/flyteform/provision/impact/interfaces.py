"""What callers see of a task, a workflow or a launch plan, and what they can no longer do with a new one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flyteform.compiler import can_cast
from flyteform.compiler.casting import is_optional
from flyteform.provision.text import type_text

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from flyteidl.admin import launch_plan_pb2
    from flyteidl.core import interface_pb2
    from flyteidl.core.types_pb2 import LiteralType


@dataclass(frozen=True, slots=True)
class Input:
    """One input; `required` says that a call without it is refused."""

    type: LiteralType
    required: bool


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs and outputs by name."""

    inputs: Mapping[str, Input] = field(default_factory=dict)
    outputs: Mapping[str, LiteralType] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """How one caller uses an interface.

    `gives` has the types of the inputs that it gives, `takes` what each output that it uses has to fit;
    `complete` says that nobody else can give what it does not: an input that is missing is an error.
    """

    gives: Mapping[str, LiteralType] = field(default_factory=dict)
    takes: Mapping[str, tuple[LiteralType, ...]] = field(default_factory=dict)
    complete: bool = True


def interface_of(typed: interface_pb2.TypedInterface, defaults: Container[str] = frozenset()) -> Interface:
    """Return what callers see; inputs that may be None, or have one of the `defaults`, need not be given."""
    inputs = {
        name: Input(variable.type, not is_optional(variable.type) and name not in defaults)
        for name, variable in typed.inputs.variables.items()
    }
    return Interface(inputs, {name: variable.type for name, variable in typed.outputs.variables.items()})


def launch_plan_interface(
    spec: launch_plan_pb2.LaunchPlanSpec, workflow: interface_pb2.TypedInterface | None
) -> Interface:
    """Return what callers of a launch plan see: the workflow's inputs, without those that are fixed."""
    defaults = {
        name for name, each in spec.default_inputs.parameters.items() if each.WhichOneof("behavior") == "default"
    }
    if workflow is None:
        return Interface(
            {
                name: Input(each.var.type, each.required and name not in defaults)
                for name, each in spec.default_inputs.parameters.items()
            }
        )
    whole = interface_of(workflow, defaults)
    inputs = {name: each for name, each in whole.inputs.items() if name not in spec.fixed_inputs.literals}
    return Interface(inputs, whole.outputs)


def incompatibilities(before: Interface, after: Interface) -> tuple[str, ...]:
    """Return what some caller of the old interface might miss in the new one; nothing for an interface and itself.

    New outputs, and new inputs that need not be given, are no loss for anybody; nor is a type to which the old one
    can be cast (inputs), or which can be cast to the old one (outputs).
    """
    return (
        *_input_losses(before, after),
        *(f"new input {name} is required" for name in _newly_required(before, after)),
        *_output_losses(before, after),
    )


def problems(before: Interface, after: Interface, usage: Usage) -> tuple[str, ...]:
    """Return what this caller of the old interface cannot do with the new one; nothing if the two are the same."""
    return (
        *_refused_inputs(before, after, usage),
        *(
            f"does not give the new input {name}"
            for name in _newly_required(before, after)
            if usage.complete and name not in usage.gives
        ),
        *_missed_outputs(before, after, usage),
    )


def _input_losses(before: Interface, after: Interface) -> list[str]:
    found = []
    for name, old in sorted(before.inputs.items()):
        new = after.inputs.get(name)
        if new is None:
            found.append(f"input {name} is gone{_renaming(old.type, before.inputs, after.inputs)}")
        elif old.type != new.type and not can_cast(old.type, new.type):
            found.append(f"input {name} is {type_text(new.type)}, was {type_text(old.type)}")
    return found


def _output_losses(before: Interface, after: Interface) -> list[str]:
    found = []
    for name, old in sorted(before.outputs.items()):
        new = after.outputs.get(name)
        if new is None:
            found.append(f"output {name} is gone")
        elif old != new and not can_cast(new, old):
            found.append(f"output {name} is {type_text(new)}, was {type_text(old)}")
    return found


def _renaming(kind: LiteralType, before: Mapping[str, Input], after: Mapping[str, Input]) -> str:
    """Say what an input may be called now, if just one of its type is new."""
    same = [name for name, each in after.items() if name not in before and each.type == kind]
    return f" (renamed to {same[0]}?)" if len(same) == 1 else ""


def _newly_required(before: Interface, after: Interface) -> list[str]:
    return sorted(
        name
        for name, new in after.inputs.items()
        if new.required and (name not in before.inputs or not before.inputs[name].required)
    )


def _refused_inputs(before: Interface, after: Interface, usage: Usage) -> list[str]:
    found = []
    for name, given in sorted(usage.gives.items()):
        if name not in before.inputs or _same_input(before, after, name):
            continue
        new = after.inputs.get(name)
        if new is None:
            found.append(f"gives the input {name}, which is gone")
        elif not can_cast(given, new.type):
            found.append(f"gives the input {name} as {type_text(given)}, and it is {type_text(new.type)} now")
    return found


def _same_input(before: Interface, after: Interface, name: str) -> bool:
    return name in after.inputs and before.inputs[name].type == after.inputs[name].type


def _missed_outputs(before: Interface, after: Interface, usage: Usage) -> list[str]:
    found = []
    for name, expected in sorted(usage.takes.items()):
        old, new = before.outputs.get(name), after.outputs.get(name)
        if old is None or old == new:
            continue
        if new is None:
            found.append(f"uses the output {name}, which is gone")
        elif not all(can_cast(new, each) for each in expected or (old,)):
            found.append(f"uses the output {name} as {type_text(old)}, and it is {type_text(new)} now")
    return found
