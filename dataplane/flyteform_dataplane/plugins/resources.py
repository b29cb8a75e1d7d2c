"""Kubernetes quantities, as Flyte's resource entries hold them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flyteidl.core.tasks_pb2 import Resources

from flyteform_dataplane.errors import UserError
from flyteform_dataplane.ports import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable

_QUANTITY = re.compile(r"(?P<number>[0-9]*\.?[0-9]+|[0-9]+\.)(?P<suffix>[eE][+-]?[0-9]+|[numkMGTPE]|[KMGTPE]i|)")
_FACTORS = {
    "": 1.0,
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    **{suffix: 1000.0 ** (power + 1) for power, suffix in enumerate("kMGTPE")},
    **{f"{suffix}i": 1024.0 ** (power + 1) for power, suffix in enumerate("KMGTPE")},
}


def parse_quantity(text: str) -> float:
    """Return the value of a quantity such as `500m`, `1.5`, `1Gi` or `2e3`; `UserError` if it is none."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{text!r} is no quantity", remedy="write it as Kubernetes does: 500m, 2, 512Mi, 1Gi")
    suffix = match["suffix"]
    factor = _FACTORS.get(suffix)
    return float(match["number"]) * factor if factor is not None else float(match["number"] + suffix)


def limits_of(entries: Iterable[Resources.ResourceEntry]) -> Limits:
    """Return the entries as numbers; what a machine has no notion of (storage) is left out."""
    values = {entry.name: parse_quantity(entry.value) for entry in entries if entry.value}
    memory = values.get(Resources.MEMORY)
    return Limits(
        cpu=values.get(Resources.CPU),
        memory=None if memory is None else int(memory),
        gpu=int(values.get(Resources.GPU, 0)),
    )
