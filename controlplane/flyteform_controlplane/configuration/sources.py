"""Where the configuration is read from: one file (YAML, JSON or TOML) and variables of the environment above it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import BaseModel

from flyteform.errors import InvalidInputError
from flyteform_controlplane.configuration import VARIABLE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SEPARATOR: Final = "__"

Tree = dict[str, Any]
Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What was written where: `variables` names the variable of each place that the environment has set."""

    tree: Tree
    file: Path | None
    variables: Mapping[Place, str]

    def source(self, place: Place) -> str:
        """Name who said what is at that place."""
        for known, variable in self.variables.items():
            if place[: len(known)] == known:
                return variable
        return "the environment" if self.file is None else str(self.file)


def read_sources(file: Path | None, environ: Mapping[str, str], model: type[BaseModel]) -> Written:
    """Return the file's mapping with the environment's values in it; `InvalidInputError` if it cannot be read."""
    tree = {} if file is None else _read_file(file)
    variables: dict[Place, str] = {}
    for name in sorted(environ):
        if name.startswith(VARIABLE_PREFIX):
            place = _place(name.removeprefix(VARIABLE_PREFIX).split(_SEPARATOR), model)
            _assign(tree, place, _value(name, environ[name]), name)
            variables[place] = name
    return Written(tree, file, variables)


def _read_file(file: Path) -> Tree:
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise InvalidInputError(
            f"the configuration {file} cannot be read: {error.strerror}", remedy="check --config and FLYTEFORM_CONFIG"
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the configuration {file} is no text in UTF-8") from error
    try:
        tree = tomllib.loads(text) if file.suffix == ".toml" else yaml.safe_load(text)
    except (tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        # Not the error's own text: it quotes the file, where a password may be.
        raise InvalidInputError(f"the configuration {file} cannot be parsed{_position(error)}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InvalidInputError(f"the configuration {file} is no mapping of sections", remedy="begin with `server:`")
    return tree


def _position(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f": line {mark.line + 1}, column {mark.column + 1}"
    # TOML's message ends with its position.
    _, found, place = str(error).rpartition("(at ")
    return f": {place.rstrip(')')}" if found else ""


def _value(variable: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidInputError(
            f"{variable} cannot be parsed", remedy="write it as YAML, quoted if it is text"
        ) from error


def _place(segments: list[str], model: type[BaseModel]) -> Place:
    """Return the place that a variable means: upper case and underscores do not matter in names of settings."""
    place: list[str] = []
    current: type[BaseModel] | None = model
    for segment in segments:
        wanted = segment.replace("_", "").lower()
        fields = {} if current is None else current.model_fields
        name = next((name for name in fields if name.replace("_", "") == wanted), None)
        if name is None:
            place.append(segment.lower())
            current = None
            continue
        field = fields[name]
        place.append(field.alias or name)
        current = _model(field.annotation)
    return tuple(place)


def _model(annotation: Any) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _assign(tree: Tree, place: Place, value: Any, variable: str) -> None:
    for name in place[:-1]:
        tree = _below(tree, name)
        if not isinstance(tree, dict):
            raise InvalidInputError(f"{variable} is below {name}, which is no section")
    _drop_other_spelling(tree, place[-1])
    tree[place[-1]] = value


def _below(tree: Tree, name: str) -> Any:
    _, known = next(((key, tree[key]) for key in tree if _same(key, name)), (name, None))
    if known is None:
        _drop_other_spelling(tree, name)
        known = tree[name] = {}
    return known


def _drop_other_spelling(tree: Tree, name: str) -> None:
    for key in [key for key in tree if _same(key, name)]:
        del tree[key]


def _same(key: Any, name: str) -> bool:
    return str(key).replace("_", "").lower() == name.replace("_", "").lower()
