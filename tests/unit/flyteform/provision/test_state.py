"""The state document: what it says, how it is written and read, and how one can go back in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyteform.provision.errors import StateError
from flyteform.provision.model import Address, Kind
from flyteform.provision.state import KEPT_RUNS, Record, Run, State
from flyteform.provision.state_document import dump_state, load_state
from flyteform.provision.state_file import default_state_path

if TYPE_CHECKING:
    from pathlib import Path

TASK = Address(Kind.TASK, "p", "d", "m.t")
OTHER = Address(Kind.TASK, "p", "d", "m.u")
V1, V2 = Record("v1"), Record("v2")
ADDRESSES = st.builds(Address, st.sampled_from(Kind), st.text(max_size=5), st.text(max_size=5), st.text(max_size=9))
RECORDS = st.builds(
    Record,
    st.none() | st.text(max_size=5),
    st.none() | st.booleans(),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    st.booleans(),
    st.none() | st.binary(max_size=5),
)
RUNS = st.builds(
    Run, st.integers(0, 9), st.text(max_size=5), st.text(max_size=5), st.dictionaries(ADDRESSES, st.none() | RECORDS)
)


@settings(deadline=None)
@given(st.integers(0, 9), st.dictionaries(ADDRESSES, RECORDS, max_size=5), st.text(max_size=5), st.lists(RUNS))
def test_the_document_reads_back(serial: int, records: dict[Address, Record], lineage: str, runs: list[Run]) -> None:
    """What is written is what is read, and the order of entries makes no difference to the bytes."""
    state = State(serial, records, lineage, tuple(runs))
    assert load_state(dump_state(state), "x") == state
    backwards = State(serial, dict(reversed(records.items())), lineage, tuple(runs))
    assert dump_state(backwards) == dump_state(state)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": "other", "version": 1, "serial": 1}'])
def test_what_is_no_state_is_refused(text: str) -> None:
    """A file that is something else is never taken for an empty state."""
    with pytest.raises(StateError, match="no state document"):
        load_state(text, "here")


@pytest.mark.parametrize("damage", [{"resources": [{}]}, {"serial": "x"}, {"history": 1}, {"resources": [3]}])
def test_a_damaged_state_is_refused(damage: dict[str, object]) -> None:
    """A document with parts missing or of another type is one clear error."""
    document = json.loads(dump_state(State())) | damage
    with pytest.raises(StateError, match="damaged"):
        load_state(json.dumps(document), "here")


def test_a_later_format_is_refused() -> None:
    """A state of a later release is not misread."""
    document = json.loads(dump_state(State())) | {"version": 3}
    with pytest.raises(StateError, match="later release"):
        load_state(json.dumps(document), "here")


def test_the_first_format_is_upgraded() -> None:
    """A state that an earlier release wrote keeps what it owns and its versions."""
    entry = {"kind": "task", "project": "p", "domain": "d", "name": "m.t", "version": "v1"}
    text = json.dumps({"format": "flyteform-state", "version": 1, "serial": 7, "resources": [entry]})
    assert load_state(text, "here") == State(7, {TASK: V1})


def applied(state: State, **changes: Record | None) -> State:
    """Return the state after an apply that recorded or released the tasks of these names."""
    state = state.begin("now", "me")
    for name, record in changes.items():
        address = Address(Kind.TASK, "p", "d", name)
        state = state.release([address]) if record is None else state.claim([address]).record(address, record)
    return state.next("lineage")


NAMES = st.sampled_from("abcd")
CHANGES = st.lists(st.dictionaries(NAMES, st.none() | st.sampled_from((V1, V2)), min_size=1), min_size=1, max_size=8)


@settings(deadline=None)
@given(CHANGES)
def test_every_kept_apply_can_be_gone_back_to(changes: list[dict[str, Record | None]]) -> None:
    """What was owned after each apply can be told from the last state."""
    state, after = State(), {}
    for each in changes:
        state = applied(state, **each)
        after[state.serial] = dict(state.records)
    assert {serial: state.at(serial) for serial in after} == after


def test_only_so_many_applies_are_kept() -> None:
    """The document does not grow with the number of applies, and says which can be gone back to."""
    state = State()
    for number in range(KEPT_RUNS + 5):
        state = applied(state, a=Record(str(number)))
    assert len(state.runs) == KEPT_RUNS
    with pytest.raises(StateError, match="no apply left serial 1") as caught:
        state.at(1)
    assert str(state.serial) in str(caught.value.remedy)


def test_what_is_kept_of_large_applies_is_bounded() -> None:
    """Applies that replace thousands of records each are kept in smaller number, the last one always."""
    state = State()
    for number in range(6):
        state = applied(state, **{f"t{name}": Record(str(number)) for name in range(1500)})
    assert [len(run.before) for run in state.runs] == [1500, 1500]
    assert state.at(state.serial) == state.records


def test_moving_keeps_what_was_applied() -> None:
    """A moved record is found under its new address alone; nothing is overwritten, and it can be gone back."""
    state = applied(State(), **{"m.t": V1})
    moved = state.begin("now", "me").move(TASK, OTHER).next("")
    assert moved.records == {OTHER: V1}
    assert moved.at(state.serial) == {TASK: V1}
    with pytest.raises(StateError, match="not in the state"):
        moved.move(TASK, OTHER)
    with pytest.raises(StateError, match="already"):
        moved.claim([TASK]).move(TASK, OTHER)


def test_each_declaration_and_place_has_a_state_of_its_own(tmp_path: Path) -> None:
    """Two declarations, platforms, projects or domains never share what they own."""
    paths = {
        default_state_path(tmp_path / name, endpoint, project, domain)
        for name in ("a.py", "b.py")
        for endpoint in ("h:1", "h:2")
        for project in ("p", "q")
        for domain in ("d", "e")
    }
    assert len(paths) == 16
    assert {path.parent for path in paths} == {tmp_path / ".flyteform"}
