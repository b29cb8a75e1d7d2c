"""What callers can no longer do: removal, other types and new requirements; never what is only added."""

from __future__ import annotations

import pytest
from flyteidl.core import types_pb2
from flyteidl.core.types_pb2 import LiteralType, UnionType
from hypothesis import given
from hypothesis import strategies as st

from flyteform.provision.impact.interfaces import Input, Interface, Usage, incompatibilities, problems
from support.plans import VARIABLES, literal_types

INT = LiteralType(simple=types_pb2.INTEGER)
STR = LiteralType(simple=types_pb2.STRING)
ENUM = LiteralType(enum_type=types_pb2.EnumType(values=["a", "b"]))
OPTIONAL_INT = LiteralType(union_type=UnionType(variants=[INT, LiteralType(simple=types_pb2.NONE)]))


def interface(outputs: dict[str, LiteralType] | None = None, **inputs: LiteralType | Input) -> Interface:
    """Return an interface; inputs are required unless they say otherwise."""
    return Interface(
        {name: each if isinstance(each, Input) else Input(each, True) for name, each in inputs.items()}, outputs or {}
    )


@pytest.mark.parametrize(
    ("before", "after", "losses"),
    [
        (interface(x=INT), interface(x=INT, y=Input(INT, False)), ()),
        (interface(x=INT), interface({"o": INT}, x=INT), ()),
        (interface(x=STR), interface(x=ENUM), ()),
        (interface(x=INT), interface(x=OPTIONAL_INT), ()),
        (interface(x=INT), interface(x=INT, y=INT), ("new input y is required",)),
        (interface(x=Input(INT, False)), interface(x=INT), ("new input x is required",)),
        (interface(x=INT), interface(), ("input x is gone",)),
        (interface(x=INT), interface(y=Input(INT, False)), ("input x is gone (renamed to y?)",)),
        (interface(x=INT), interface(x=STR), ("input x is str, was int",)),
        (interface({"o": INT}), interface(), ("output o is gone",)),
        (interface({"o": INT}), interface({"o": OPTIONAL_INT}), ("output o is int | None, was int",)),
        (interface({"o": ENUM}), interface({"o": STR}), ()),
    ],
)
def test_what_is_lost(before: Interface, after: Interface, losses: tuple[str, ...]) -> None:
    """Additions and castable types lose nothing; everything else is named."""
    assert incompatibilities(before, after) == losses


@pytest.mark.parametrize(
    ("usage", "found"),
    [
        (Usage({"x": INT}, complete=True), ("gives the input x, which is gone", "does not give the new input y")),
        (Usage({"y": INT}, {"o": (INT,)}), ("uses the output o, which is gone",)),
        (Usage({"x": INT}, complete=False), ("gives the input x, which is gone",)),
        (Usage({"y": INT}), ()),
        (Usage({}, {"other": (INT,)}, complete=False), ()),
    ],
)
def test_what_a_caller_notices(usage: Usage, found: tuple[str, ...]) -> None:
    """A caller breaks by what it uses, and by what it does not give where nobody else can."""
    assert problems(interface({"o": INT}, x=INT), interface(y=INT), usage) == found


def test_a_caller_that_gives_what_fits_the_new_type_is_not_broken() -> None:
    """Judged is what the caller really gives: an int where int | None was taken still fits an int."""
    before, after = interface(x=Input(OPTIONAL_INT, False)), interface(x=Input(INT, False))
    assert incompatibilities(before, after) == ("input x is int, was int | None",)
    assert problems(before, after, Usage({"x": INT})) == ()
    assert problems(before, after, Usage({"x": OPTIONAL_INT})) == (
        "gives the input x as int | None, and it is int now",
    )


INTERFACES = st.builds(
    Interface,
    st.dictionaries(VARIABLES, st.builds(Input, literal_types, st.booleans())),
    st.dictionaries(VARIABLES, literal_types),
)
USAGES = st.builds(
    Usage,
    st.dictionaries(VARIABLES, literal_types),
    st.dictionaries(VARIABLES, st.lists(literal_types, max_size=2).map(tuple)),
    st.booleans(),
)


@given(INTERFACES, USAGES)
def test_an_interface_is_compatible_with_itself(same: Interface, usage: Usage) -> None:
    """Nothing is lost and nobody breaks when an interface stays, however odd its callers are."""
    copy = Interface(dict(same.inputs), dict(same.outputs))
    assert incompatibilities(same, copy) == ()
    assert problems(same, copy, usage) == ()


@given(INTERFACES, INTERFACES)
def test_without_losses_no_caller_of_the_old_interface_breaks(before: Interface, after: Interface) -> None:
    """A caller that gives all inputs of the old interface and uses all its outputs breaks only if something is lost."""
    usage = Usage(
        {name: each.type for name, each in before.inputs.items()}, {n: (t,) for n, t in before.outputs.items()}
    )
    if not incompatibilities(before, after):
        assert problems(before, after, usage) == ()
