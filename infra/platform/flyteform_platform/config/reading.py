"""Reads a stack's configuration: what is wrong in it fails the preview with the field's path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

import pulumi
from flyteform_platform.config.section import Section
from flyteform_platform.errors import ConfigError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

KEY = "platform"
Model = TypeVar("Model", bound=Section)
_PROBLEMS = {"extra_forbidden": "there is no such field", "missing": "is missing"}


def read_config(model: type[Model]) -> Model:
    """Read the key `platform` of the project; `ConfigError` with every problem and its field's path."""
    config = pulumi.Config()
    found = config.get_object(KEY)
    if found is None:
        raise ConfigError(f"{config.name}:{KEY} is missing in Pulumi.{pulumi.get_stack()}.yaml")
    return parse_config(model, found, f"{config.name}:{KEY}")


def parse_config(model: type[Model], found: Any, place: str = KEY) -> Model:
    """Return the configuration as its model; `ConfigError` as for `read_config`."""
    try:
        return model.model_validate(found)
    except ValidationError as error:
        problems = [_problem(each, place) for each in error.errors(include_url=False)]
        raise ConfigError("\n".join(problems)) from None


def secret(name: str) -> pulumi.Output[str]:
    """Return a secret of the configuration (`pulumi config set --secret NAME`); `ConfigError` if it is not there."""
    config = pulumi.Config()
    found = config.get_secret(name)
    if found is None:
        raise ConfigError(f"{config.name}:{name} is missing: pulumi config set --secret {name}")
    return found


def _problem(error: ErrorDetails, place: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"])
    text = _PROBLEMS.get(error["type"], error["msg"].removeprefix("Value error, "))
    given = error["input"]
    shown = f" (it is {given!r})" if isinstance(given, str | int | float) and error["type"] != "missing" else ""
    return f"{place}{path}: {text}{shown}"
