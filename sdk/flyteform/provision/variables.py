"""Variables: what one declaration needs to be told per environment, typed."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from flyteform.errors import DefinitionError, FlyteformError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from dataclasses import Field
    from pathlib import Path

_T = TypeVar("_T")
PREFIX = "FLYTEFORM_VAR_"
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")


@dataclass(slots=True)
class _Given:
    """What a command was told, and which names were asked for so far."""

    texts: Mapping[str, str]
    asked: set[str] = field(default_factory=set)


_given: ContextVar[_Given | None] = ContextVar("flyteform_given_variables", default=None)


def variables(form: type[_T]) -> _T:
    """Return an instance of a dataclass with what this environment says of its fields.

    The value of a field comes from `--var name=value`, a `--var-file`, the environment variable `FLYTEFORM_VAR_NAME`,
    or the field's default, in this order. `DefinitionError` names the fields without a value and those of another type.
    """
    if not is_dataclass(form) or not isinstance(form, type):
        raise DefinitionError(f"variables takes a dataclass, not {form!r}", remedy="decorate the class with @dataclass")
    given = _given.get() or _Given({})
    types = get_type_hints(form)
    own = [each for each in fields(form) if each.init]
    given.asked.update(each.name for each in own)
    values, missing = {}, []
    for each in own:
        text = given.texts.get(each.name, os.environ.get(PREFIX + each.name.upper()))
        if text is not None:
            values[each.name] = _parsed(each.name, text, types[each.name])
        elif not _has_default(each):
            missing.append(each.name)
    if missing:
        raise DefinitionError(
            f"no value is given for: {', '.join(missing)}", remedy=f"add for example --var {missing[0]}=VALUE"
        )
    made: _T = form(**values)
    return made


def _has_default(each: Field[Any]) -> bool:
    return each.default is not MISSING or each.default_factory is not MISSING


def _parsed(name: str, text: str, python_type: Any) -> Any:
    from flyteform.types import parse_text

    try:
        return parse_text(text, python_type)
    except FlyteformError as error:
        # The value itself may be secret.
        expected = getattr(python_type, "__name__", str(python_type))
        raise DefinitionError(f"the variable {name} is no {expected}", remedy=error.remedy) from None


@contextmanager
def given(texts: Mapping[str, str]) -> Iterator[None]:
    """Give these values while the block runs; `InvalidInputError` for names that nothing in it asked for."""
    told = _Given(texts)
    token = _given.set(told)
    try:
        yield
    finally:
        _given.reset(token)
    unknown = sorted(set(texts) - told.asked)
    if unknown:
        known = ", ".join(sorted(told.asked)) or "none"
        raise InvalidInputError(f"no variable is called {unknown[0]!r}", remedy=f"the declaration asks for: {known}")


def read_variables(file: Path) -> dict[str, str]:
    """Read lines `name=value`; values may be quoted, `#` begins a comment. `InvalidInputError` names the line."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"cannot read {file}: {error}", remedy="check the file") from error
    found = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise InvalidInputError(f"{file}:{number}: this is no variable", remedy="write name=value")
        found[match[1]] = _unquoted(match[2])
    return found


def _unquoted(text: str) -> str:
    for quote in ('"', "'"):
        if len(text) > 1 and text[0] == quote:
            end = text.find(quote, 1)
            if end > 0:
                return text[1:end]
    return text.split(" #", 1)[0].strip()
