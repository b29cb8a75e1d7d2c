"""Command-line options from the typed interface of a workflow or task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from flyteform.errors import InvalidInputError
from flyteform.types import ValueMismatchError, parse_text, to_plain, type_text
from flyteform.types.registry import family_of
from flyteform.types.scalars import BoolFamily

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.authoring.entity import Entity
    from flyteform.authoring.interface import Input, Output


class InputType(click.ParamType[Any]):
    """The values of one Python type, as a person types them."""

    def __init__(self, python_type: Any) -> None:
        """Read values of that type."""
        self.python_type = python_type
        self.name = type_text(python_type)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value, or fail with what was expected and what came."""
        try:
            return parse_text(value, self.python_type) if isinstance(value, str) else value
        except ValueMismatchError as error:
            self.fail(f"{error.path}: {error.problem}" if error.path else error.problem, param, ctx)


def parse_inputs(entity: Entity, words: Sequence[str], command_path: str) -> dict[str, Any]:
    """Return the inputs that were given, converted; `--help` among the words prints the inputs and exits.

    Raises `click.UsageError` for unknown inputs and values of another type, `InvalidInputError` for missing inputs.
    """
    given: dict[str, Any] = {}

    def keep(**values: Any) -> None:
        given.update({name: value for name, value in values.items() if value is not _NOT_GIVEN})

    inputs = entity.interface.inputs
    command = click.Command(
        entity.short_name,
        callback=keep,
        params=[_option(one) for one in inputs],
        help=_description(entity),
        options_metavar="[INPUTS]" if inputs else "",
        context_settings={"help_option_names": [] if "help" in entity.interface.inputs_by_name else ["--help"]},
    )
    command.main(args=list(words), prog_name=command_path, standalone_mode=False)
    missing = [one for one in inputs if one.required and one.name not in given]
    if missing:
        one = missing[0]
        raise InvalidInputError(
            f"{entity.subject} needs the input {one.name!r} of type {type_text(one.python_type)}",
            remedy=f"add --{_dashed(one.name)} VALUE",
        )
    return given


class _NotGiven:
    """Marks options that were not given, which None could not: it is a value of optional inputs."""


_NOT_GIVEN = _NotGiven()


def _option(one: Input) -> click.Option:
    names = dict.fromkeys((f"--{_dashed(one.name)}", f"--{one.name}"))
    # `--shuffle` alone means yes. Only for these: where a value may be left out, click takes `-5` for an option.
    alone: dict[str, Any] = {"flag_value": "true"} if isinstance(family_of(one.python_type), BoolFamily) else {}
    return click.Option(
        [*names, one.name],
        type=InputType(one.python_type),
        metavar=type_text(one.python_type),
        default=_NOT_GIVEN,
        is_flag=False,
        help=_help(one),
        **alone,
    )


def _help(one: Input) -> str:
    return "[required]" if one.required else f"[default: {written(one.default, one)}]"


def _description(entity: Entity) -> str:
    text = getattr(getattr(entity, "settings", entity), "description", "")
    return text or f"Run the {entity.subject}."


def _dashed(name: str) -> str:
    return name.strip("_").replace("_", "-") or name


def written(value: Any, declared: Input | Output) -> str:
    """Return a value as a person reads it: text as it is, all else as JSON."""
    plain = to_plain(value, declared.python_type)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
