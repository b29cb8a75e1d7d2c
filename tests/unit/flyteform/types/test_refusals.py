"""What cannot be carried is refused with a message that says which part, and what to use instead."""

from __future__ import annotations

import enum
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from flyteform.errors import DefinitionError
from flyteform.types import ValueMismatchError, assignable, check, literal_type, parse_text, to_literal, type_text


@dataclass
class Box:
    """Two fields."""

    n: int
    parts: list[float]


@dataclass
class Other:
    """Another class with a field of the same name."""

    n: int


class Shade(enum.Enum):
    """A str enum."""

    DARK = "dark"


class Level(enum.Enum):
    """Not a str enum."""

    LOW = 1


@dataclass
class Tree:
    """A class that contains itself."""

    children: list[Tree]


class FakeArray:
    """Something that can be turned into a list."""

    def __iter__(self) -> Any:
        """Yield nothing."""
        return iter(())

    def tolist(self) -> list[int]:
        """Return nothing."""
        return []


@pytest.mark.parametrize(
    ("value", "python_type", "message"),
    [
        ("a", int, "expected int, got str 'a'"),
        (True, int, "expected int, got bool True"),
        (1.0, int, "expected int, got float 1.0"),
        (2**63, int, "the int given does not fit 64 bits"),
        (10**400, int, "the int given does not fit 64 bits"),
        (10**400, float, "the int given does not fit a float"),
        (1, str, "expected str, got int 1"),
        ("\ud800", str, "the str is not valid Unicode"),
        ("\ud800", Any, "the str is not valid Unicode"),
        (1, bool, "expected bool, got int 1"),
        (None, int, "expected int, got None"),
        ([1, "b"], list[int], "[1]: expected int, got str 'b'"),
        ([[1], [2, None]], list[list[int]], "[1][1]: expected int, got None"),
        ((1, 2), list[int], "expected list[int], got tuple (1, 2)"),
        ({"a": "b"}, dict[str, int], "['a']: expected int, got str 'b'"),
        ({1: 2}, dict[str, int], "expected keys of type str, got 1"),
        ({1: 2}, dict, "expected keys of type str, got 1"),
        ([{"a": {1}}], list, "[0]['a']: a value of type set cannot be carried without a declared type"),
        (2**63, Any, "an int does not fit 64 bits"),
        (Box("x", []), Box, ".n: expected int, got str 'x'"),  # type: ignore[arg-type]
        (Box(1, [1.0, "y"]), Box, ".parts[1]: expected float, got str 'y'"),  # type: ignore[list-item]
        (Other(1), Box, "expected Box, got Other Other(n=1)"),
        ("x", int | None, "expected int | None, got str 'x'"),
        ([1, "x"], list[int] | None, "[1]: expected int, got str 'x'"),
        ("light", Shade, "expected Shade (one of dark), got 'light'"),
        (timedelta.max, timedelta, "is longer than 10,000 years"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(value: Any, python_type: Any, message: str) -> None:
    """The message says which part is wrong, what was expected, and what came."""
    with pytest.raises(ValueMismatchError) as caught:
        to_literal(value, python_type)
    assert message in caught.value.message


def test_a_value_that_contains_itself_is_refused() -> None:
    """No recursion error, and no endless work."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueMismatchError, match="contains itself"):
        check(loop, list)


def test_a_value_that_cannot_be_shown_is_refused_all_the_same() -> None:
    """The message needs no repr, which fails for ints of thousands of digits."""
    with pytest.raises(ValueMismatchError, match=r"expected str, got int$"):
        check(10**5000, str)


def test_an_array_is_refused_with_the_way_to_turn_it_into_a_list() -> None:
    """Users of NumPy and pandas learn what to write."""
    for python_type in (list[int], Any):
        with pytest.raises(ValueMismatchError) as caught:
            check(FakeArray(), python_type)
        assert "tolist()" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("python_type", "message", "remedy"),
    [
        (set, "values of type set cannot be carried", "list[T]"),
        (bytes, "values of type bytes cannot be carried", "base64"),
        (tuple[int, str], "values of type tuple[int, str] cannot be carried", "NamedTuple"),
        (dict[int, str], "keys have to be str", "dict[str, T]"),
        (Level, "the enum Level cannot be carried: LOW is no str", 'RED = "red"'),
        (FakeArray, "FakeArray cannot be carried", "dataclass"),
        (Tree, "Tree contains itself", "dict"),
        (list[set[int]], "values of type set[int] cannot be carried", "list[T]"),
    ],
)
def test_an_unsupported_type_is_refused_with_what_to_use_instead(python_type: Any, message: str, remedy: str) -> None:
    """Nothing is pickled silently."""
    with pytest.raises(DefinitionError) as caught:
        literal_type(python_type)
    assert message in caught.value.message
    assert remedy in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("text", "python_type", "message"),
    [
        ("3.5", int, "expected int, got '3.5'"),
        ("x", float, "expected float, got 'x'"),
        ("maybe", bool, "expected bool (true or false), got 'maybe'"),
        ("[1,", list[int], "expected list[int] as JSON"),
        ("tomorrow", timedelta, "expected timedelta in seconds or such as 1h30m"),
        ('{"n": 1, "part": []}', Box, "Box has no field 'part'; did you mean 'parts'?"),
        ('{"n": 1}', Box, "the field 'parts' of Box is missing"),
    ],
)
def test_a_slip_on_the_command_line_is_explained(text: str, python_type: Any, message: str) -> None:
    """The message says what was expected."""
    with pytest.raises(ValueMismatchError) as caught:
        parse_text(text, python_type)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (int, int, True),
        (int, float, False),
        (list[int], list[int], True),
        (list[int], list[str], False),
        (list[int], list, False),
        (list[dict], list, True),
        (int, int | None, True),
        (int | None, int, False),
        (int | None, int | str | None, True),
        (Shade, str, True),
        (str, Shade, True),
        (Box, Box, True),
        (Box, dict, True),
        (dict, Box, True),
        (dict[str, int], dict[str, int], True),
        (dict[str, int], dict, False),
    ],
)
def test_bindings_are_judged_as_flytes_compiler_does(source: Any, target: Any, expected: bool) -> None:
    """What the SDK lets pass the control plane accepts too, and the other way round."""
    from flyteform.compiler import can_cast

    assert assignable(source, target) is expected
    assert can_cast(literal_type(source), literal_type(target)) is expected


def test_a_dataclass_needs_the_same_dataclass() -> None:
    """Flyte's compiler looks at the fields alone, Python at the class, and so does the SDK: a class is meant."""
    assert not assignable(Box, Other)


def test_names_are_short() -> None:
    """Messages write types as the user did."""
    assert type_text(dict[str, list[int | None]]) == "dict[str, list[int | None]]"
    assert type_text(list) == "list"


def test_numpy_scalars_count_as_numbers() -> None:
    """What a NumPy computation returns can be returned by a task."""
    numpy = pytest.importorskip("numpy")
    assert type(check(numpy.int64(3), int)) is int
    assert type(check(numpy.float32(0.5), float)) is float
    assert check([numpy.float64(1.5), numpy.bool_(True)], list) == [1.5, True]
    assert sys.getsizeof(check(numpy.float64(1.5), float)) == sys.getsizeof(1.5)
