"""Policies: users' checks are found, run and reported; the shipped ones judge what a plan changes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from flyteidl.core import tasks_pb2
from flyteidl.core.execution_pb2 import WorkflowExecution

from flyteform.errors import InvalidInputError
from flyteform.provision import policies
from flyteform.provision.errors import PlanRefusedError, PolicyError
from flyteform.provision.gate import check_allowed
from flyteform.provision.impact.model import Impact, ImpactKind, Severity
from flyteform.provision.model import Action, Address, Change, Desired, Entity, Kind, Plan
from flyteform.provision.policies import quantity
from flyteform.provision.policy import Proposal, deny, judge_by, policy, warn
from flyteform.provision.policy_loading import load_policies
from flyteform.provision.verdicts import Level, Verdict
from support.plans import launch_plan_spec, task_spec, workflow, workflow_spec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flyteform.provision.policy import Finding, Policy


def address(kind: Kind, name: str, domain: str = "production") -> Address:
    """Return an address."""
    return Address(kind, "p", domain, name)


TASK, WORKFLOW, NIGHTLY = address(Kind.TASK, "m.t"), address(Kind.WORKFLOW, "m.w"), address(Kind.LAUNCH_PLAN, "nightly")


def entities(cron: str = "0 3 * * *", cpu: str = "1", *, active: bool = True, told: bool = False) -> tuple[Entity, ...]:
    """Return a task, a workflow that calls it, and a launch plan of the workflow."""
    template = tasks_pb2.TaskTemplate()
    template.container.resources.requests.add(name=tasks_pb2.Resources.CPU, value=cpu)
    spec = launch_plan_spec(cron)
    if told:
        spec.entity_metadata.notifications.add(phases=[WorkflowExecution.FAILED])
    return (
        Entity(TASK, "v2", task_spec(template)),
        Entity(WORKFLOW, "v2", workflow_spec(workflow()), (TASK,)),
        Entity(NIGHTLY, "v2", spec.SerializeToString(), (WORKFLOW,), active=active),
    )


def plan_of(desired: tuple[Entity, ...], *changed: Address, breaking: Address | None = None) -> Plan:
    """Return a plan that makes new versions of these, one of them with a breaking interface."""
    changes = tuple(
        Change(Action.NEW_VERSION, each, "changed", "v2", "v1", breaking=each == breaking) for each in changed
    )
    unchanged = tuple(Change(Action.NO_OP, each.address, "is") for each in desired if each.address not in changed)
    return Plan("h:1", Desired(entities=desired), (*changes, *unchanged))


def verdicts(plan: Plan, *by: Policy) -> list[tuple[Level, str, tuple[Address, ...]]]:
    """Return what the policies say."""
    return [(each.level, each.message, each.addresses) for each in judge_by(plan, by).verdicts]


def test_a_check_sees_what_changes_and_what_does_not() -> None:
    """The lists have what changes, with messages and flags; everything on demand; users are followed to the end."""
    proposal = Proposal(plan_of(entities(), WORKFLOW))
    assert [each.address for each in proposal.workflows()] == [WORKFLOW]
    assert proposal.tasks() == ()
    (task,) = proposal.tasks(everything=True)
    assert (task.changed, task.template.container.resources.requests[0].value) == (False, "1")
    (launch_plan,) = proposal.launch_plans(everything=True)
    assert launch_plan.scheduled
    assert proposal.users_of(TASK) == {WORKFLOW, NIGHTLY}
    assert Proposal(replace(proposal.plan, destroy=True)).tasks(everything=True) == ()


def test_findings_become_verdicts() -> None:
    """What a check denies or warns of is kept with its name and addresses, each once."""

    @policy
    def mine(proposal: Proposal, word: str = "no") -> Iterator[Finding]:
        for each in proposal.workflows():
            yield deny(f"{word}!", each, TASK)
            yield deny(f"{word}!", each, TASK)
        yield warn("hm")

    plan = plan_of(entities(), WORKFLOW)
    assert verdicts(plan, mine) == [(Level.DENY, "no!", (WORKFLOW, TASK)), (Level.WARN, "hm", ())]
    assert verdicts(plan, mine.configured(word="never"))[0][1] == "never!"


def test_a_check_that_fails_is_an_error_with_its_line() -> None:
    """Nobody knows what a broken check would have said: policy, line and exception are named."""

    @policy
    def broken(proposal: Proposal) -> Iterator[Finding]:
        yield from proposal.plan.nothing  # type: ignore[attr-defined]

    with pytest.raises(PolicyError, match=r"policy broken fails at .*test_policy.py:\d+: AttributeError"):
        judge_by(plan_of(entities()), [broken])

    @policy
    def odd(_: Proposal) -> list[Finding]:
        return ["no"]  # type: ignore[list-item]

    with pytest.raises(PolicyError, match="policy odd gives 'no', which is no finding"):
        judge_by(plan_of(entities()), [odd])

    @policy
    def silent(_: Proposal) -> None:
        """Find nothing."""

    assert judge_by(plan_of(entities()), [silent]).verdicts == ()

    @policy
    def single(_: Proposal) -> Finding:
        return warn("just one")

    assert verdicts(plan_of(entities()), single) == [(Level.WARN, "just one", ())]


def test_breaking_needs_leave_and_denial_has_none() -> None:
    """A breaking plan is allowed on demand; what a policy denies never; a warning holds up nothing."""
    plan = plan_of(entities(), WORKFLOW, breaking=WORKFLOW)
    with pytest.raises(PlanRefusedError, match=r"breaks callers of workflow m\.w in p/production"):
        check_allowed(plan)
    allowed = replace(plan, allow_breaking=True)
    check_allowed(allowed)
    check_allowed(replace(allowed, verdicts=(Verdict("w", Level.WARN, "hm"),)))
    with pytest.raises(PlanRefusedError, match="denied by policy: d"):
        check_allowed(replace(allowed, verdicts=(Verdict("d", Level.DENY, "no"),)))


def test_no_breaking_change_under_an_active_schedule() -> None:
    """Denied whatever the way from the schedule to the change; allowed where no schedule is, or it is off."""
    rule = policies.no_breaking_under_schedule
    ((level, message, where),) = verdicts(plan_of(entities(), TASK, breaking=TASK), rule)
    assert (level, where) == (Level.DENY, (TASK, NIGHTLY))
    assert "the schedule of nightly runs it" in message
    assert verdicts(plan_of(entities(active=False), TASK, breaking=TASK), rule) == []
    assert verdicts(plan_of(entities(cron=""), TASK, breaking=TASK), rule) == []
    assert verdicts(plan_of(entities(), TASK), rule) == []


def test_no_breaking_of_anothers_schedule() -> None:
    """A scheduled launch plan of another declaration counts too: the impact names it."""
    fields = (("caller_kind", "launch_plan"), ("caller_scheduled", True))
    impact = Impact(ImpactKind.INTERFACE, Severity.BREAKING, "breaks", fields)
    plan = plan_of(entities(cron=""), WORKFLOW, breaking=WORKFLOW)
    changes = (replace(plan.changes[0], impacts=(impact,)), *plan.changes[1:])
    ((level, _, where),) = verdicts(replace(plan, changes=changes), policies.no_breaking_under_schedule)
    assert (level, where) == (Level.DENY, (WORKFLOW,))


@pytest.mark.parametrize(
    ("asked", "limits", "denied"),
    [
        ("4", {"production": {"cpu": "4"}}, False),
        ("4100m", {"production": {"cpu": "4"}}, True),
        ("4100m", {"*": {"cpu": 4}}, True),
        ("8", {"*": {"cpu": 4}, "production": {"cpu": 16}}, False),
        ("8", {"development": {"cpu": 1}}, False),
        ("8", {"production": {"mem": "1Gi"}}, False),
    ],
)
def test_limits_by_domain(asked: str, limits: dict[str, dict[str, str | int]], *, denied: bool) -> None:
    """A task that asks for more than its domain's limit is denied; the star is for domains that are not named."""
    found = verdicts(plan_of(entities(cpu=asked), TASK), policies.resource_limits.configured(limits=limits))
    assert bool(found) is denied
    if denied:
        assert found[0][1] == f"cpu request {asked} is over the limit 4 of production"
    assert verdicts(plan_of(entities(cpu=asked), WORKFLOW), policies.resource_limits.configured(limits=limits)) == []


def test_generous_limits_without_configuration() -> None:
    """Without parameters the shipped limits are wide: ordinary tasks pass, a mistyped unit does not."""
    assert verdicts(plan_of(entities(cpu="8"), TASK), policies.resource_limits) == []
    assert len(verdicts(plan_of(entities(cpu="8k"), TASK), policies.resource_limits)) == 1


def test_production_schedules_tell_somebody() -> None:
    """An active schedule in production without a notification of failure is denied; elsewhere, or told, it is not."""
    rule = policies.production_schedules_notify
    ((level, message, where),) = verdicts(plan_of(entities(), NIGHTLY), rule)
    assert (level, message, where) == (Level.DENY, "the schedule notifies nobody of FAILED", (NIGHTLY,))
    assert verdicts(plan_of(entities(told=True), NIGHTLY), rule) == []
    assert verdicts(plan_of(entities(cron=""), NIGHTLY), rule) == []
    assert verdicts(plan_of(entities(active=False), NIGHTLY), rule) == []
    assert verdicts(plan_of(entities(), NIGHTLY), rule.configured(domains=("staging",))) == []
    assert len(verdicts(plan_of(entities(told=True), NIGHTLY), rule.configured(phases=("FAILED", "TIMED_OUT")))) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500m", "0.5"),
        ("2", "2"),
        ("1.5", "1.5"),
        ("2Gi", str(2 * 2**30)),
        ("1k", "1000"),
        ("1e3", "1000"),
        ("5E2", "500"),
    ],
)
def test_quantities(text: str, value: str) -> None:
    """Kubernetes' quantities are compared by value."""
    assert quantity(text) == Decimal(value)


def test_no_quantity() -> None:
    """What is no quantity says how to write one."""
    with pytest.raises(InvalidInputError, match="no quantity"):
        quantity("lots")


RULES = """from flyteform.provision import policies
from flyteform.provision.policies import resource_limits
from flyteform.provision.policy import deny, policy

limits = resource_limits.configured(limits={"production": {"cpu": "2"}})


@policy
def never(proposal):
    yield deny("never")
"""


def test_policies_of_a_file(tmp_path: Path) -> None:
    """A file's policies are those that it defines or configures, not those that it only imports."""
    path = tmp_path / "rules.py"
    path.write_text(RULES)
    found = load_policies([str(path)])
    assert [each.name for each in found] == ["resource_limits", "never"]
    assert found[0].parameters == {"limits": {"production": {"cpu": "2"}}}
    path.write_text(f"{RULES}\nPOLICIES = [policies.production_schedules_notify]\n")
    assert [each.name for each in load_policies([str(path)])] == ["production_schedules_notify"]


def test_policies_of_a_module() -> None:
    """The shipped set is a module."""
    names = [each.name for each in load_policies(["flyteform.provision.policies"])]
    assert names == ["no_breaking_under_schedule", "resource_limits", "production_schedules_notify"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rules.py", None, "there is no file"),
        ("no.such.module", None, "there is no module and no file"),
        ("json", None, "json has no policies"),
        ("rules.py", "x = 1\n", "has no policies"),
        ("rules.py", "POLICIES = 3\n", "has no policies"),
        ("rules.py", "import no_such_thing\n", r"ModuleNotFoundError at .*rules.py:1: No module named 'no_such_thing'"),
        ("rules.py", "def f(:\n", r"SyntaxError at .*rules.py:1"),
        ("rules.py", "import sys\nsys.exit(0)\n", r"SystemExit at .*rules.py:2"),
        ("rules.py", "\n1 / 0\n", r"ZeroDivisionError at .*rules.py:2: division by zero"),
    ],
)
def test_what_cannot_be_loaded_says_why(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    """A missing file, a module without policies, an error in it: one message with the line."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(PolicyError, match=message):
        load_policies([str(tmp_path / name) if name.endswith(".py") else name])
