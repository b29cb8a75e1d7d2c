"""The typed interface of a function: its inputs with their defaults, and its named outputs."""

from __future__ import annotations

import difflib
import inspect
import typing
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from flyteform.authoring import places
from flyteform.errors import DefinitionError, InvalidInputError, TypeMismatchError
from flyteform.types import ValueMismatchError, check, type_text
from flyteform.types.registry import family_of
from flyteform.types.unions import UnionFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


class _Required:
    """The absence of a default, which None could not tell."""

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Any = _Required()


@dataclass(frozen=True, slots=True)
class Input:
    """One input: its name, its Python type, and its default or `REQUIRED`."""

    name: str
    python_type: Any
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        """Whether a caller has to give it."""
        return self.default is REQUIRED


@dataclass(frozen=True, slots=True)
class Output:
    """One output: its name (`o0`, `o1`, … unless a NamedTuple names it) and its Python type."""

    name: str
    python_type: Any


@dataclass(frozen=True)
class Interface:
    """What a task or workflow takes and gives.

    `output_class` is the NamedTuple class of the outputs, if the function returns one.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    output_class: type | None = None

    @cached_property
    def inputs_by_name(self) -> Mapping[str, Input]:
        """The inputs by their name."""
        return {one.name: one for one in self.inputs}

    @cached_property
    def outputs_by_name(self) -> Mapping[str, Output]:
        """The outputs by their name."""
        return {one.name: one for one in self.outputs}

    def checked(self, values: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """Return all input values, defaults filled in, checked and converted; `subject` names the callee in errors."""
        self.refuse_unknown(values, subject)
        checked = {}
        for one in self.inputs:
            value = values.get(one.name, one.default)
            if value is REQUIRED:
                raise InvalidInputError(f"{subject} needs the input {one.name!r} of type {type_text(one.python_type)}")
            checked[one.name] = check_value(value, one.python_type, f"input {one.name!r} of {subject}")
        return checked

    def refuse_unknown(self, names: Iterable[str], subject: str) -> None:
        """Raise an error for the first name that is no input."""
        for name in names:
            if name not in self.inputs_by_name:
                raise InvalidInputError(f"{subject} has no input {name!r}{suggestion(name, self.inputs_by_name)}")

    def split(self, result: Any, subject: str) -> tuple[Any, ...]:
        """Return what a function returned as one value for each output."""
        count = len(self.outputs)
        if count == 0:
            if result is not None:
                raise TypeMismatchError(
                    f"{subject} returned a value of type {type(result).__name__}, but is annotated to return nothing",
                    remedy="annotate its return type",
                )
            return ()
        if count == 1 and self.output_class is None:
            return (result,)
        if not isinstance(result, tuple) or len(result) != count:
            got = f"{len(result)} values" if isinstance(result, tuple) else f"one {type(result).__name__}"
            raise TypeMismatchError(f"{subject} returned {got}; its annotation declares {count} outputs")
        return tuple(result)

    def joined(self, values: Mapping[str, Any]) -> Any:
        """Return output values as the function would: one value, a tuple, a NamedTuple, or None."""
        ordered = [values[one.name] for one in self.outputs]
        if self.output_class is not None:
            return self.output_class(*ordered)
        if not ordered:
            return None
        return ordered[0] if len(ordered) == 1 else tuple(ordered)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the one that was probably meant, or all there are."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; it has {', '.join(known)}" if known else "; it has none"


def check_value(value: Any, python_type: Any, subject: str) -> Any:
    """Return the checked value, or raise an error that starts with the subject."""
    try:
        return check(value, python_type)
    except ValueMismatchError as error:
        raise TypeMismatchError(f"{subject}{error.path}: {error.problem}", remedy=error.remedy) from error


def interface_of(fn: Callable[..., Any], kind: str) -> Interface:
    """Read the interface from a function's annotations; `kind` is `task` or `workflow`."""
    place = f"{places.of_function(fn)}: {kind} {fn.__name__}"
    hints = _hints(fn, place)
    inputs = tuple(_input(parameter, hints, place) for parameter in inspect.signature(fn).parameters.values())
    outputs, output_class = _outputs(hints.get("return"), place)
    return Interface(inputs=inputs, outputs=outputs, output_class=output_class)


def _hints(fn: Callable[..., Any], place: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(fn)
    except (NameError, TypeError) as error:
        raise DefinitionError(
            f"{place}: an annotation cannot be understood: {error}",
            remedy="import or define the type at module level, outside of TYPE_CHECKING",
        ) from error


def _input(parameter: inspect.Parameter, hints: Mapping[str, Any], place: str) -> Input:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        raise DefinitionError(
            f"{place}: the parameter {str(parameter)!r} has no fixed name",
            remedy="inputs are named: declare each one, or take a list or a dict",
        )
    if parameter.name not in hints:
        raise DefinitionError(
            f"{place}: the input {parameter.name!r} has no type annotation",
            remedy=f"write for example {parameter.name}: int",
        )
    python_type = hints[parameter.name]
    subject = f"{place}: the input {parameter.name!r}"
    default = _default(parameter, _supported(python_type, subject), python_type, subject)
    return Input(name=parameter.name, python_type=python_type, default=default)


def _default(parameter: inspect.Parameter, optional: bool, python_type: Any, subject: str) -> Any:
    if parameter.default is not parameter.empty:
        try:
            return check(parameter.default, python_type)
        except ValueMismatchError as error:
            problem = f"{error.path}: {error.problem}" if error.path else error.problem
            raise DefinitionError(f"{subject} has a wrong default: {problem}", remedy=error.remedy) from error
    return None if optional else REQUIRED


def _supported(python_type: Any, subject: str) -> bool:
    """Refuse a type that cannot be carried; tell whether None is one of its values."""
    try:
        family = family_of(python_type)
    except DefinitionError as error:
        raise DefinitionError(f"{subject}: {error.message}", remedy=error.remedy) from error
    return isinstance(family, UnionFamily) and family.optional


def _outputs(annotation: Any, place: str) -> tuple[tuple[Output, ...], type | None]:
    if annotation is None or annotation is type(None):
        return (), None
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        fields = typing.get_type_hints(annotation)
        outputs = tuple(Output(name, fields.get(name, Any)) for name in annotation._fields)
        output_class: type | None = annotation
    else:
        several = _several(annotation, place)
        outputs = tuple(Output(f"o{index}", python_type) for index, python_type in enumerate(several))
        output_class = None
    for one in outputs:
        _supported(one.python_type, f"{place}: the output {one.name!r}")
    return outputs, output_class


def _several(annotation: Any, place: str) -> tuple[Any, ...]:
    """Return the types of the outputs: a tuple annotation has one for each item."""
    if isinstance(annotation, tuple):  # `-> (int, str)`, which Flyte's users write
        return annotation
    if typing.get_origin(annotation) is not tuple:
        return (annotation,)
    items = typing.get_args(annotation)
    if Ellipsis in items or not items:
        raise DefinitionError(
            f"{place}: a tuple of any length cannot be an output", remedy="return list[T], or name every item's type"
        )
    return items
