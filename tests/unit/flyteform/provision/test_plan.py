"""The plan as data: what is decided for every situation, in which order, and why."""

from __future__ import annotations

import pytest
from flyteidl.admin import launch_plan_pb2, task_pb2
from hypothesis import given
from hypothesis import strategies as st

from flyteform.provision.errors import DeclarationError
from flyteform.provision.model import (
    REGISTRATIONS,
    REMOVALS,
    Action,
    Address,
    Change,
    Counts,
    Desired,
    Entity,
    FieldChange,
    Kind,
    Plan,
    ProjectSettings,
)
from flyteform.provision.observed import Observed, ObservedProject, ObservedVersion
from flyteform.provision.plan import plan_changes
from flyteform.provision.saved import dump_plan, read_plan

TASK = Address(Kind.TASK, "p", "d", "m.t")
LAUNCH_PLAN = Address(Kind.LAUNCH_PLAN, "p", "d", "nightly")
HERE = ObservedProject("P", "", {}, archived=False, domains=frozenset({"d"}))


def task(version: str = "v1", image: str = "i:1") -> Entity:
    """Return a wanted task."""
    spec = task_pb2.TaskSpec()
    spec.template.type = "python-task"
    spec.template.container.image = image
    return Entity(TASK, version, spec.SerializeToString())


def launch_plan(version: str = "v1", *, active: bool | None = True, cron: str = "") -> Entity:
    """Return a wanted launch plan that calls the task's place-holder of a workflow."""
    spec = launch_plan_pb2.LaunchPlanSpec()
    if cron:
        spec.entity_metadata.schedule.cron_schedule.schedule = cron
    return Entity(LAUNCH_PLAN, version, spec.SerializeToString(), (TASK,), active=active)


def steps(desired: Desired, observed: Observed, owned: tuple[Address, ...] = ()) -> list[tuple[Action, str, str]]:
    """Return what is to be done as (action, name, reason)."""
    changes = plan_changes(desired, observed, owned)
    return [(each.action, each.address.name, each.reason) for each in changes if each.action is not Action.NO_OP]


def test_all_is_new() -> None:
    """On an empty platform all is created, each after what it needs, and activated last."""
    desired = Desired((ProjectSettings("p"),), (task(), launch_plan()))
    assert steps(desired, Observed()) == [
        (Action.CREATE, "p", "does not exist"),
        (Action.CREATE, "m.t", "does not exist"),
        (Action.CREATE, "nightly", "does not exist"),
        (Action.ACTIVATE, "nightly", "no version is active"),
    ]


def test_what_is_registered_and_active_is_left_alone() -> None:
    """When every version exists and the declared one is active there is nothing to do, whoever owns it."""
    observed = Observed(
        projects={"p": HERE},
        registered=frozenset({(TASK, "v1"), (LAUNCH_PLAN, "v1")}),
        active={LAUNCH_PLAN: ObservedVersion("v1", {})},
    )
    desired = Desired((), (task(), launch_plan()))
    assert steps(desired, observed) == []
    assert {each.action for each in plan_changes(desired, observed, ())} == {Action.NO_OP}


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ({"image": "i:0", "type": "python-task"}, "changed: image"),
        ({"image": "i:1", "type": "python-task"}, "its code changed"),
        ({"image": "i:1", "type": "python-task", "retries": "3"}, "changed: retries"),
    ],
)
def test_a_new_version_says_what_made_it_necessary(before: dict[str, str], reason: str) -> None:
    """Fields that differ are named; when none does it is the code."""
    observed = Observed({"p": HERE}, present=frozenset({TASK}), latest={TASK: ObservedVersion("v0", before)})
    (change,) = plan_changes(Desired((), (task(),)), observed, ())
    assert (change.action, change.reason, change.previous) == (Action.NEW_VERSION, reason, "v0")


def test_another_active_version_is_replaced() -> None:
    """A launch plan whose registered version is not the active one is activated, old and new named."""
    observed = Observed(
        {"p": HERE},
        registered=frozenset({(TASK, "v1"), (LAUNCH_PLAN, "v1")}),
        active={LAUNCH_PLAN: ObservedVersion("v0", {})},
    )
    change = plan_changes(Desired((), (task(), launch_plan())), observed, ())[-1]
    assert (change.action, change.previous, change.version) == (Action.ACTIVATE, "v0", "v1")
    assert change.fields == (FieldChange("active", "v0", "v1"),)


def test_declared_inactive_is_deactivated() -> None:
    """`active=False` takes the active version out, whichever it is."""
    observed = Observed(
        {"p": HERE}, registered=frozenset({(LAUNCH_PLAN, "v1")}), active={LAUNCH_PLAN: ObservedVersion("v0", {})}
    )
    desired = Desired((), (launch_plan(active=False),))
    assert steps(desired, observed) == [(Action.DEACTIVATE, "nightly", "declared inactive")]


def test_what_vanished_is_taken_out_of_use_in_reverse_order() -> None:
    """Owned and no longer declared: launch plans first, then what they use, the project last."""
    project = Address(Kind.PROJECT, "p", "", "p")
    observed = Observed(
        {"p": HERE}, present=frozenset({TASK, LAUNCH_PLAN}), active={LAUNCH_PLAN: ObservedVersion("v1", {})}
    )
    assert steps(Desired(), observed, (project, TASK, LAUNCH_PLAN)) == [
        (Action.DEACTIVATE, "nightly", "no longer declared"),
        (Action.ARCHIVE, "m.t", "no longer declared"),
        (Action.ARCHIVE, "p", "no longer declared"),
    ]


def test_what_vanished_and_is_gone_already_needs_nothing() -> None:
    """Archived names, inactive launch plans and missing projects are left alone."""
    gone = Observed({"p": HERE}, present=frozenset({TASK}), archived=frozenset({TASK}))
    assert steps(Desired(), gone, (TASK, LAUNCH_PLAN, Address(Kind.PROJECT, "q", "", "q"))) == []


def test_archived_names_come_back() -> None:
    """A registered version whose name is archived is restored, and its project with it."""
    archived = ObservedProject("P", "", {}, archived=True, domains=frozenset())
    observed = Observed(
        {"p": archived}, registered=frozenset({(TASK, "v1")}), present=frozenset({TASK}), archived=frozenset({TASK})
    )
    assert steps(Desired((ProjectSettings("p"),), (task(),)), observed) == [
        (Action.UPDATE, "p", "is archived"),
        (Action.UPDATE, "m.t", "is archived"),
    ]


def test_only_declared_settings_of_a_project_are_compared() -> None:
    """What the declaration leaves out may be anything; what it says is enforced, labels as a whole."""
    observed = Observed({"p": ObservedProject("N", "D", {"a": "1", "b": "2"}, archived=False, domains=frozenset())})
    assert steps(Desired((ProjectSettings("p"),)), observed) == []
    (change,) = plan_changes(Desired((ProjectSettings("p", description="E", labels={"a": "1"}),)), observed, ())
    assert change.fields == (FieldChange("description", "D", "E"), FieldChange("labels.b", "2", None))


@pytest.mark.parametrize(
    ("project", "message"),
    [
        (None, "does not exist"),
        (ObservedProject("P", "", {}, archived=True, domains=frozenset({"d"})), "is archived"),
        (ObservedProject("P", "", {}, archived=False, domains=frozenset({"x"})), "no domain 'd'"),
    ],
)
def test_a_place_that_cannot_take_entities_is_refused(project: ObservedProject | None, message: str) -> None:
    """What the platform would refuse half-way is refused before anything is written."""
    with pytest.raises(DeclarationError, match=message):
        plan_changes(Desired((), (task(),)), Observed({} if project is None else {"p": project}), ())


VERSIONS = st.sampled_from(["v1", "v2"])
NAMES = st.sampled_from(["a", "b", "c"])


@st.composite
def situations(draw: st.DrawFn) -> tuple[Desired, Observed, tuple[Address, ...]]:
    """Draw any declaration of a few names against any platform that has some of their versions."""
    addresses = [Address(kind, "p", "d", name) for kind in (Kind.TASK, Kind.LAUNCH_PLAN) for name in "abc"]
    wanted = [
        Entity(address, draw(VERSIONS), b"", active=draw(st.booleans()) if address.kind is Kind.LAUNCH_PLAN else None)
        for address in addresses
        if draw(st.booleans())
    ]
    registered = frozenset((address, version) for address in addresses for version in draw(st.sets(VERSIONS)))
    present = frozenset(address for address, _ in registered)
    tasks = sorted(address for address in present if address.kind is Kind.TASK)
    plans = sorted(present - set(tasks))
    archived = draw(st.sets(st.sampled_from(tasks))) if tasks else set()
    running = draw(st.sets(st.sampled_from(plans))) if plans else set()
    active = {plan: ObservedVersion(max(v for a, v in registered if a == plan), {}) for plan in running}
    missing = {each.address for each in wanted if (each.address, each.version) not in registered} & present
    latest = {address: ObservedVersion(max(v for a, v in registered if a == address), {}) for address in missing}
    owned = tuple(draw(st.sets(st.sampled_from(addresses))))
    observed = Observed({"p": HERE}, registered, present, frozenset(archived), latest, active)
    return Desired((), tuple(wanted)), observed, owned


def applied(observed: Observed, changes: tuple[Change, ...]) -> Observed:
    """Return the platform after the steps, by what each of them means."""
    registered, archived = set(observed.registered), set(observed.archived)
    active = dict(observed.active)
    for change in changes:
        version = change.version or ""
        if change.action in REGISTRATIONS:
            registered.add((change.address, version))
        elif change.action is Action.UPDATE:
            archived.discard(change.address)
        elif change.action is Action.ARCHIVE:
            archived.add(change.address)
        elif change.action is Action.ACTIVATE:
            assert (change.address, version) in registered
            active[change.address] = ObservedVersion(version, {})
        elif change.action is Action.DEACTIVATE:
            del active[change.address]
    present = frozenset(address for address, _ in registered)
    return Observed(observed.projects, frozenset(registered), present, frozenset(archived), {}, active)


@given(situations())
def test_apply_then_plan_is_empty(situation: tuple[Desired, Observed, tuple[Address, ...]]) -> None:
    """Whatever is wanted and whatever is there, after the steps of the plan nothing is left to do."""
    desired, observed, owned = situation
    after = applied(observed, plan_changes(desired, observed, owned))
    assert steps(desired, after, owned) == []
    assert steps(desired, after) == []


@given(situations())
def test_a_plan_is_the_same_bytes_twice_and_survives_saving(
    tmp_path_factory: pytest.TempPathFactory, situation: tuple[Desired, Observed, tuple[Address, ...]]
) -> None:
    """The order of what is owned does not matter, and a saved plan reads back as it was."""
    desired, observed, owned = situation
    first = Plan("h:1", desired, plan_changes(desired, observed, owned), serial=3)
    second = Plan("h:1", desired, plan_changes(desired, observed, tuple(reversed(owned))), serial=3)
    assert dump_plan(first, "/s") == dump_plan(second, "/s")
    path = tmp_path_factory.mktemp("plan") / "saved.json"
    path.write_text(dump_plan(first, "/s"))
    assert read_plan(path).plan == first


@given(situations())
def test_counts_add_up(situation: tuple[Desired, Observed, tuple[Address, ...]]) -> None:
    """Every resource is counted once."""
    desired, observed, owned = situation
    plan = Plan("h:1", desired, plan_changes(desired, observed, owned))
    counts = plan.counts
    total = counts.create + counts.update + counts.archive + counts.unchanged
    assert total == len({change.address for change in plan.changes})
    assert (counts == Counts(unchanged=counts.unchanged)) is not plan.has_changes
    assert counts.archive >= len(
        {change.address for change in plan.changes if change.action in REMOVALS} - plan.removed
    )
