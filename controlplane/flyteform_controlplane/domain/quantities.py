"""Kubernetes quantities, such as 500m or 16Gi, as exact numbers."""

from __future__ import annotations

import re
from decimal import Decimal

from flyteform_controlplane.errors import InvalidArgumentError

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(n|u|m|k|[KMGTPE]i|[MGTPE]|[eE][+-]?\d{1,3})?", re.ASCII)
_POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: str, field: str) -> Decimal:
    """Return the number that a quantity stands for; `InvalidArgumentError` names the field that holds none."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InvalidArgumentError(f"invalid value '{text}' for {field}", remedy="write a quantity such as 500m or 2Gi")
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * Decimal(2) ** _BINARY[suffix]
    if suffix in _POWERS:
        return number.scaleb(_POWERS[suffix])
    return number.scaleb(int(suffix[1:]))
