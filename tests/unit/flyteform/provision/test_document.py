"""The plan document: described by the schema that ships with the package, and read back as it was written."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from flyteform.provision.document import plan_document, read_change, read_verdict
from flyteform.provision.impact.model import ImpactKind
from flyteform.provision.model import Action, Address, Change, Desired, Kind, Plan
from flyteform.provision.redaction import redact_field, redact_text
from support.plans import CHANGES, PLANS, VERDICTS

if TYPE_CHECKING:
    from flyteform.provision.verdicts import Verdict

SCHEMA: dict[str, Any] = json.loads(files("flyteform.provision").joinpath("plan.schema.json").read_text())
PLAN = Plan("h:1", Desired(), (Change(Action.CREATE, Address(Kind.TASK, "p", "d", "m.t"), "does not exist"),))
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    """What ships is a valid JSON Schema, and knows every kind, action and impact that there is."""
    Draft202012Validator.check_schema(SCHEMA)
    change = SCHEMA["$defs"]["change"]["properties"]
    assert set(change["kind"]["enum"]) == {each.value for each in Kind}
    assert set(change["action"]["enum"]) == {each.value for each in Action}
    assert set(SCHEMA["$defs"]["impact"]["properties"]["kind"]["enum"]) == {each.value for each in ImpactKind}


@given(PLANS)
def test_every_plan_fits_the_schema(plan: Plan) -> None:
    """Whatever is in a plan, its document is what the schema says, and JSON; the same plan gives the same."""
    plain = Plan(
        plan.endpoint,
        plan.desired,
        tuple(_without_impacts(change) for change in plan.changes),
        plan.destroy,
        requests=plan.requests,
        verdicts=plan.verdicts,
        allow_breaking=plan.allow_breaking,
    )
    document = plan_document(plain)
    VALIDATOR.validate(json.loads(json.dumps(document)))
    assert plan_document(plain) == document


def _without_impacts(change: Change) -> Change:
    """Impacts drawn at random have fields of their own; real ones are checked against the schema elsewhere."""
    return Change(change.action, change.address, change.reason, change.version, change.previous, change.fields)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("changes", 0, "action"), "explode"),
        (("changes", 0, "kind"), "planet"),
        (("summary", "create"), -1),
        (("changes", 0, "fields"), [{"path": "x"}]),
    ],
)
def test_the_schema_refuses_what_is_wrong(path: tuple[str | int, ...], value: object) -> None:
    """The schema is no formality: other values, kinds and missing parts are refused."""
    document = plan_document(Plan("h:1", PLAN.desired, PLAN.changes))
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(ValidationError):
        VALIDATOR.validate(document)


@given(CHANGES)
def test_changes_are_read_back(change: Change) -> None:
    """A saved change is the change, apart from the secrets that it does not keep."""
    entry = plan_document(Plan("h:1", PLAN.desired, (change,)))["changes"][0]
    found = read_change(json.loads(json.dumps(entry)))
    assert found.address == change.address
    assert found.fields == tuple(redact_field(each) for each in change.fields)
    assert (found.drift, found.moved_from, found.breaking) == (change.drift, change.moved_from, change.breaking)
    assert [each.fields for each in found.impacts] == [each.fields for each in change.impacts]
    assert [each.message for each in found.impacts] == [redact_text(each.message) for each in change.impacts]


@given(VERDICTS)
def test_verdicts_are_read_back(verdict: Verdict) -> None:
    """What a policy said is kept in a saved plan."""
    entry = plan_document(Plan("h:1", PLAN.desired, (), verdicts=(verdict,)))["verdicts"][0]
    found = read_verdict(json.loads(json.dumps(entry)))
    assert (found.policy, found.level, found.addresses) == (verdict.policy, verdict.level, verdict.addresses)
