"""What a concurrency policy decides, as data."""

from __future__ import annotations

import pytest
from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from hypothesis import given
from hypothesis import strategies as st

from flyteform_controlplane.domain.concurrency import (
    Behavior,
    Live,
    Policy,
    PolicyRecord,
    Step,
    WaitingRecord,
    admit,
    policy_of,
    step,
)
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.errors import EntityExistsError, ResourceExhaustedError

OWN = PolicyRecord(project="p", domain="d", name="wf", max=3, behavior=Behavior.WAIT)


def live(*phases: str) -> list[Live]:
    """Make executions 0, 1, …; the phase `waits` makes one that has no slot yet."""
    found = []
    for number, phase in enumerate(phases):
        key = ExecutionKey("p", "d", str(number))
        row = None
        if phase == "waits":
            names = {"execution_project": "p", "execution_domain": "d", "execution_name": key.name}
            row = WaitingRecord(**names, project="p", domain="d", name="wf")
        found.append(Live(key, "QUEUED" if row else phase, row))
    return found


def names(found: Step) -> tuple[list[str], list[str]]:
    """Return which start and which are aborted."""
    return [one.execution_name for one in found.start], [one.name for one in found.abort]


@pytest.mark.parametrize(
    ("behavior", "phases", "start", "abort"),
    [
        (Behavior.WAIT, ("RUNNING", "waits", "waits"), [], []),
        (Behavior.WAIT, ("waits", "waits", "waits"), ["0"], []),
        (Behavior.WAIT, ("ABORTING", "waits"), [], []),
        (Behavior.REPLACE, ("RUNNING", "waits"), [], ["0"]),
        (Behavior.REPLACE, ("ABORTING", "waits"), [], []),
        (Behavior.REPLACE, ("RUNNING", "waits", "waits"), [], ["0", "1"]),
        (Behavior.REPLACE, ("waits", "waits"), ["1"], ["0"]),
        # Without a newer one nothing is aborted, whatever the policy was lowered to.
        (Behavior.REPLACE, ("RUNNING", "RUNNING"), [], []),
        # A policy that lets nobody wait lets those that wait already take their turns.
        (Behavior.SKIP, ("waits", "waits"), ["0"], []),
    ],
)
def test_next_step_with_one_slot(
    behavior: Behavior, phases: tuple[str, ...], start: list[str], abort: list[str]
) -> None:
    """Each behaviour gives the slot to whom it should, and aborts whom it should."""
    assert names(step(Policy(1, behavior), live(*phases))) == (start, abort)


def test_without_a_policy_everything_that_waits_starts() -> None:
    """Removing a policy leaves nobody waiting."""
    assert names(step(None, live("RUNNING", "waits", "waits"))) == (["1", "2"], [])


@given(
    maximum=st.integers(1, 4),
    behavior=st.sampled_from(Behavior),
    phases=st.lists(st.sampled_from(["waits", "UNDEFINED", "RUNNING", "ABORTING"]), max_size=9),
)
def test_steps_never_exceed_the_limit_and_never_idle(maximum: int, behavior: Behavior, phases: list[str]) -> None:
    """Whatever is live: slots stay within the limit, and no free slot stays empty while somebody may start."""
    before = live(*phases)
    found = step(Policy(maximum, behavior), before)
    waiting = [one for one in before if one.waiting]
    occupied = len(before) - len(waiting)
    started, aborted = names(found)
    assert len(started) <= max(maximum - occupied, 0)
    eligible = [one for one in waiting if one.key.name not in aborted]
    assert len(started) == min(len(eligible), max(maximum - occupied, 0))
    assert not set(started) & set(aborted)
    if behavior is not Behavior.REPLACE or not waiting:
        assert not aborted
    else:
        staying = [one for one in before if one.phase != "ABORTING" and one.key.name not in aborted]
        assert len(staying) <= maximum
        assert before[-1].key.name not in aborted
    # Once nothing else can be done, doing it again changes nothing.
    after = [one for one in before if one.key.name not in aborted]
    after = [Live(one.key, one.phase) if one.key.name in started else one for one in after]
    if not aborted:
        assert step(Policy(maximum, behavior), after) == Step()


def test_admission_by_behavior() -> None:
    """A full launch plan skips, aborts or lets wait; one with room, and nobody waiting, admits."""
    full = live("RUNNING")
    assert admit(Policy(2, Behavior.SKIP), full, "wf")
    with pytest.raises(EntityExistsError, match=r"^concurrency limit \(1\) reached for launch plan wf; skipping"):
        admit(Policy(1, Behavior.SKIP), full, "wf")
    with pytest.raises(ResourceExhaustedError, match=r"concurrency limit \(1\) reached"):
        admit(Policy(1, Behavior.ABORT), full, "wf")
    assert not admit(Policy(1, Behavior.WAIT), full, "wf")
    assert not admit(Policy(1, Behavior.REPLACE), full, "wf")
    assert not admit(Policy(2, Behavior.WAIT), live("waits"), "wf")


def test_policy_of_the_name_goes_before_that_of_the_version() -> None:
    """Flyte's policy holds where none was set for the name; an unspecified behaviour is no limit."""
    spec = LaunchPlanSpec()
    assert policy_of(spec, None) is None
    spec.concurrency_policy.max = 2
    assert policy_of(spec, None) is None
    spec.concurrency_policy.behavior = 1
    assert policy_of(spec, None) == Policy(2, Behavior.SKIP)
    assert policy_of(spec, OWN) == Policy(3, Behavior.WAIT)
