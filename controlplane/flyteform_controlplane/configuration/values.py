"""Single values of the configuration: quantities, durations, rates, as operators write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flyteform_controlplane.domain.quantities import parse_quantity
from flyteform_controlplane.errors import InvalidArgumentError

_UNITS: Final = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours"}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")


class Section(BaseModel):
    """A mapping of the configuration: names in Flyte's spelling or in snake case, nothing that is not known."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
    )


def _duration(value: Any) -> Any:
    if isinstance(value, str) and _DURATION.fullmatch(value):
        parts: dict[str, float] = {}
        for number, unit in _PART.findall(value):
            parts[_UNITS[unit]] = parts.get(_UNITS[unit], 0.0) + float(number)
        return timedelta(**parts)
    raise ValueError('not a duration: write for example "90s", "5m" or "1h30m"')


def _quantity(value: Any) -> Any:
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise ValueError("not a quantity: write for example 500m or 2Gi")  # noqa: TRY004 - pydantic wants ValueError
    try:
        negative = bool(text) and parse_quantity(text, "it") < 0
    except InvalidArgumentError as error:
        raise ValueError("not a quantity: write for example 500m or 2Gi") from error
    if negative:
        raise ValueError("negative")
    return text


def merged(value: Any) -> Any:
    """Return a list of mappings, as Flyte writes some, as one mapping."""
    if isinstance(value, list) and all(isinstance(part, dict) for part in value):
        return {name: one for part in value for name, one in part.items()}
    return value


def _named_values(value: Any) -> Any:
    """Read `name: value`, or `name: {value: …}` as Flyte has it."""
    found = merged(value)
    if not isinstance(found, dict):
        return found
    return {
        name: one["value"] if isinstance(one, dict) and one.keys() == {"value"} else one for name, one in found.items()
    }


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Quantity = Annotated[str, BeforeValidator(_quantity)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Weight = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]
NamedValues = Annotated[dict[Name, str], BeforeValidator(_named_values)]
