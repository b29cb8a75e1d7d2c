"""Which part of a declaration a plan is about: targets with what they need, excludes with what needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyteform.errors import InvalidInputError
from flyteform.provision.model import Address, Desired, Entity, Kind, Options, ProjectSettings, Setting
from flyteform.provision.selection import Selection, matches, select, spellings

if TYPE_CHECKING:
    from collections.abc import Sequence


def at(kind: Kind, name: str) -> Address:
    """Return an address in one place."""
    return Address(kind, "acme", "development", name)


TASK, OTHER = at(Kind.TASK, "m.t"), at(Kind.TASK, "m.other")
WORKFLOW = at(Kind.WORKFLOW, "m.w")
NIGHTLY = at(Kind.LAUNCH_PLAN, "nightly")
POLICY = at(Kind.POLICY, "nightly")
LIMITS = Address(Kind.SETTINGS, "acme", "", "task_resource")
PROJECT = Address(Kind.PROJECT, "acme", "", "acme")
GONE = at(Kind.WORKFLOW, "m.gone")
DESIRED = Desired(
    (ProjectSettings("acme"),),
    (
        Entity(TASK, "v", b"", bundle="b1"),
        Entity(OTHER, "v", b"", bundle="b2"),
        Entity(WORKFLOW, "v", b"", (TASK,)),
        Entity(NIGHTLY, "v", b"", (WORKFLOW,)),
    ),
    {"b1": b"1", "b2": b"2"},
    (Setting(POLICY, b"", {}, (NIGHTLY,)), Setting(LIMITS, b"", {}, (PROJECT,))),
    {OTHER: Options(depends_on=(LIMITS,))},
)
OWNED = frozenset({*DESIRED.addresses, GONE})


def chosen(targets: Sequence[str] = (), excludes: Sequence[str] = ()) -> set[Address]:
    """Return what is selected."""
    part, untouched = select(DESIRED, OWNED, Selection(tuple(targets), tuple(excludes)))
    assert untouched == OWNED - part.addresses - ({GONE} - untouched)
    return set(part.addresses)


def test_without_patterns_it_is_everything() -> None:
    """Nothing given, nothing left out."""
    assert select(DESIRED, OWNED, Selection()) == (DESIRED, frozenset())


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["m.w"], {WORKFLOW, TASK, PROJECT}),
        (["launch_plan:nightly"], {NIGHTLY, WORKFLOW, TASK, PROJECT}),
        (["nightly"], {NIGHTLY, POLICY, WORKFLOW, TASK, PROJECT}),
        (["m.other"], {OTHER, LIMITS, PROJECT}),
        (["acme/development/m.t"], {TASK, PROJECT}),
        (["task:acme/*/m.?"], {TASK, PROJECT}),
        (["settings:*", "project:acme"], {LIMITS, PROJECT}),
        (["settings:acme/task_resource"], {LIMITS, PROJECT}),
    ],
)
def test_targets_come_with_what_they_need(targets: list[str], expected: set[Address]) -> None:
    """By name, kind, place or wildcard; what they call, depend on and lie in comes along."""
    assert chosen(targets) == expected


@pytest.mark.parametrize(
    ("excludes", "left_out"),
    [
        (["m.t"], {TASK, WORKFLOW, NIGHTLY, POLICY}),
        (["policy:nightly"], {POLICY}),
        (["settings:*"], {LIMITS, OTHER}),
        (["m.gone"], set()),
    ],
)
def test_excludes_go_with_what_needs_them(excludes: list[str], left_out: set[Address]) -> None:
    """What would call something that is left as it is is left too."""
    assert chosen((), excludes) == set(DESIRED.addresses) - left_out


def test_code_of_what_is_left_out_is_not_carried() -> None:
    """Only bundles of selected tasks stay."""
    part, _ = select(DESIRED, (), Selection(("m.t",)))
    assert set(part.bundles) == {"b1"}


@pytest.mark.parametrize(
    ("targets", "excludes", "message"),
    [
        (["nothing"], [], "--target nothing matches nothing"),
        ([], ["workflow:m.t"], "--exclude workflow:m.t matches nothing"),
        (["m.w"], ["m.t"], "leaves nothing"),
        (["m.w"], ["m.w"], "leaves nothing"),
        (["m.w", "m.other"], ["task:m.t"], "what is targeted needs it"),
    ],
)
def test_what_cannot_be_meant_is_refused(targets: list[str], excludes: list[str], message: str) -> None:
    """A pattern that matches nothing, and targets that need what is excluded, are clear errors."""
    with pytest.raises(InvalidInputError, match=message):
        chosen(targets, excludes)


def test_what_vanished_can_be_selected() -> None:
    """What is owned and no longer declared is a target too, or is left alone."""
    _, untouched = select(DESIRED, OWNED, Selection(("m.gone",)))
    assert untouched == OWNED - {GONE}
    _, untouched = select(DESIRED, OWNED, Selection((), ("m.gone",)))
    assert untouched == {GONE}


@given(st.lists(st.sampled_from(sorted(OWNED)), min_size=1, unique=True))
def test_a_selection_is_closed(picked: list[Address]) -> None:
    """Whatever is targeted, nothing that is selected needs what is not."""
    part, untouched = select(DESIRED, OWNED, Selection(tuple(spellings(each)[-1] for each in picked)))
    assert all(needed in part.addresses for each in part.entities for needed in each.depends_on)
    assert not untouched & part.addresses
    assert set(picked) <= part.addresses | (OWNED - untouched)


def test_every_spelling_means_its_address() -> None:
    """An address matches all ways of writing it, and no other kind's."""
    assert all(matches(each, way) for each in OWNED for way in spellings(each))
    assert not matches(TASK, "workflow:m.t")
