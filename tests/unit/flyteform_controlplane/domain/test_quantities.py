"""Quantities as Kubernetes writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from flyteform_controlplane.domain.quantities import parse_quantity
from flyteform_controlplane.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("16Gi", str(16 * 2**30)),
        ("1.5Gi", str(3 * 2**29)),
        ("1E", "1000000000000000000"),
        ("1e3", "1000"),
        ("12E-1", "1.2"),
        ("-1", "-1"),
    ],
)
def test_quantity_is_read_exactly(text: str, number: str) -> None:
    """Decimal, binary and exponent suffixes give exact numbers."""
    assert parse_quantity(text, "cpu") == Decimal(number)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", "1KI", "--1", "1e", "1e9999", "Gi", "1.2.3", "٣"])
def test_other_texts_are_refused_with_the_name_of_the_field(text: str) -> None:
    """What is no quantity names its field."""
    with pytest.raises(InvalidArgumentError, match=r"for resources\.requests\.cpu"):
        parse_quantity(text, "resources.requests.cpu")
