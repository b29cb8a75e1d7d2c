"""The judgement of plans against a real control plane: real callers, counts, bounds, and what cannot be asked."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING

from flyteidl.admin import execution_pb2
from flyteidl.core import identifier_pb2
from flyteidl.datacatalog import datacatalog_pb2 as catalog
from jsonschema import Draft202012Validator

from flyteform.provision.document import plan_document
from flyteform.provision.gate import breaking
from flyteform.provision.impact import survey
from flyteform.provision.impact.model import Impact, ImpactKind, Severity
from flyteform.provision.provisioner import apply_plan, default_store, make_plan
from flyteform.provision.saved import dump_plan, read_plan
from support.control_plane import control_plane
from support.declarations import PIPELINES, TASKS, write_project

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Plan

SCHEMA = json.loads(files("flyteform.provision").joinpath("plan.schema.json").read_text())
OTHERS = """import sys

sys.path.insert(0, {folder!r})
from flyteform import CronSchedule, task, workflow
from flyteform.provision import LaunchPlan, Workflow
from tasks import add, total


@task
def show(value: int) -> int:
    return value


@workflow
def outer(x: int = 1) -> int:
    return show(value=add(x=total(x=x), y=3))


Workflow(outer, project="acme")
LaunchPlan(total, project="acme", name="theirs", default_inputs={{"x": 3}}, schedule=CronSchedule(schedule="0 5 * * *"))
"""
# The input y of add is z, the input x of total is v: callers outside of the declaration know nothing of it.
RENAMED = (
    TASKS.replace("def add(x: int, y: int)", "def add(x: int, z: int)")
    .replace("x + y", "x + z")
    .replace("def total(x: int = 1)", "def total(v: int = 1)")
    .replace("add(x=double(x=x), y=x)", "add(x=double(x=v), z=v)")
)


async def apply(path: Path, client: AdminClient) -> Plan:
    """Plan and apply with the default state."""
    store = default_store(path, client.config)
    plan = await make_plan(path, client, store)
    result = await apply_plan(plan, client, store)
    assert result.ok, [outcome for outcome in result.outcomes if outcome.error]
    return plan


async def with_others(tmp_path: Path, client: AdminClient) -> Path:
    """Apply the example project and another declaration that calls what is in it; return the first."""
    path = write_project(tmp_path / "work")
    await apply(path, client)
    theirs = tmp_path / "theirs" / "others.py"
    theirs.parent.mkdir()
    theirs.write_text(OTHERS.format(folder=str(path.parent)))
    await apply(theirs, client)
    return path


def impacts(plan: Plan, name: str, kind: ImpactKind) -> list[Impact]:
    """Return the impacts of one kind on what is called so."""
    return [
        impact
        for change in plan.steps
        if change.address.name == name
        for impact in change.impacts
        if impact.kind is kind
    ]


def told(plan: Plan) -> list[tuple[str, str, dict[str, object]]]:
    """Return what the plan says of its impacts."""
    return [(str(each.address), one.message, dict(one.fields)) for each in plan.changes for one in each.impacts]


async def test_real_callers_are_named(tmp_path: Path) -> None:
    """Others' workflows and their scheduled launch plans break, node by node; the declaration's own do not."""
    async with control_plane(tmp_path) as client:
        path = await with_others(tmp_path, client)
        write_project(path.parent, tasks=RENAMED, pipelines=PIPELINES.replace('{"x": 5}', '{"v": 5}'))
        plan = await make_plan(path, client)
        assert {address.name for address in breaking(plan)} == {"tasks.add", "tasks.total"}
        assert [each.message for each in impacts(plan, "tasks.add", ImpactKind.INTERFACE)] == [
            (
                "breaks node n1 of workflow others.outer in acme/development: gives the input y, which is gone, "
                "does not give the new input z"
            )
        ]
        assert [each.message for each in impacts(plan, "tasks.total", ImpactKind.INTERFACE)] == [
            "breaks node n0 of workflow others.outer in acme/development: gives the input x, which is gone",
            "breaks the scheduled launch plan theirs in acme/development: gives the input x, which is gone",
        ]
        Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(plan_document(plan))))
        saved = tmp_path / "saved.plan"
        saved.write_text(dump_plan(plan, "state"))
        assert told(read_plan(saved).plan) == told(plan)


async def test_widening_breaks_nobody(tmp_path: Path) -> None:
    """A new input with a default and a new output are compatible; nobody is even looked for."""
    async with control_plane(tmp_path) as client:
        path = await with_others(tmp_path, client)
        wider = TASKS.replace("def total(x: int = 1) -> int:", "def total(x: int = 1, w: int = 2) -> int:")
        write_project(path.parent, tasks=wider)
        before = client.caller.sent["GetWorkflow"]
        plan = await make_plan(path, client)
        assert plan.has_changes
        assert breaking(plan) == ()
        assert impacts(plan, "tasks.total", ImpactKind.INTERFACE) == []
        assert client.caller.sent["GetWorkflow"] == before + 1  # what it was, and nothing of others


async def test_what_nobody_uses_may_go(tmp_path: Path) -> None:
    """An incompatible change that no caller notices is a warning, and needs nobody's leave."""
    async with control_plane(tmp_path) as client:
        path = write_project(tmp_path / "work")
        await apply(path, client)
        write_project(path.parent, tasks=RENAMED, pipelines=PIPELINES.replace('{"x": 5}', '{"v": 5}'))
        plan = await make_plan(path, client)
        assert breaking(plan) == ()
        (impact,) = impacts(plan, "tasks.total", ImpactKind.INTERFACE)
        assert impact.severity is Severity.WARNING
        assert "input x is gone (renamed to v?); no caller of that was found" in impact.message


async def test_callers_are_looked_for_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more workflows than are read, the plan says how many it has not looked at."""
    monkeypatch.setattr(survey, "MOST_CALLERS", 0)
    async with control_plane(tmp_path) as client:
        path = await with_others(tmp_path, client)
        write_project(path.parent, tasks=RENAMED, pipelines=PIPELINES.replace('{"x": 5}', '{"v": 5}'))
        (impact,) = impacts(await make_plan(path, client), "tasks.add", ImpactKind.INTERFACE)
        assert impact.severity is Severity.WARNING
        assert "1 more workflows were not looked at" in impact.message


async def test_an_unchanged_plan_asks_for_nothing_more(tmp_path: Path) -> None:
    """Without changes no caller, cache or execution is asked for."""
    async with control_plane(tmp_path) as client:
        path = await with_others(tmp_path, client)
        before = dict(client.caller.sent)
        assert not (await make_plan(path, client)).has_changes
        for method in ("ListArtifacts", "ListExecutions", "GetWorkflow"):
            assert client.caller.sent[method] == before.get(method, 0)


async def put_in_cache(client: AdminClient, version: str, count: int) -> None:
    """Keep some results of the task double, as a data plane would."""
    dataset = catalog.DatasetID(project="acme", domain="development", name="flyte_task-tasks.double", version=version)
    request = catalog.CreateDatasetRequest(dataset=catalog.Dataset(id=dataset))
    await client.caller.call("datacatalog.DataCatalog", "CreateDataset", request, catalog.CreateDatasetResponse)
    for index in range(count):
        artifact = catalog.Artifact(id=f"a{index}", dataset=dataset, data=[catalog.ArtifactData(name="o0")])
        artifact.data[0].value.scalar.primitive.integer = index
        request = catalog.CreateArtifactRequest(artifact=artifact)
        await client.caller.call("datacatalog.DataCatalog", "CreateArtifact", request, catalog.CreateArtifactResponse)


async def test_cached_results_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What DataCatalog keeps of a task is counted over its pages, up to a bound, and is lost with the cache version."""
    async with control_plane(tmp_path) as client:
        path = write_project(tmp_path / "work")
        await apply(path, client)
        write_project(path.parent, tasks=TASKS.replace('cache_version="1"', 'cache_version="2"'))
        (impact,) = impacts(await make_plan(path, client), "tasks.double", ImpactKind.CACHE)
        assert impact.message == "nothing is cached so far: cache version 1 → 2"
        await put_in_cache(client, str(dict(impact.fields)["dataset_version"]), 60)
        (impact,) = impacts(await make_plan(path, client), "tasks.double", ImpactKind.CACHE)
        assert impact.message == "60 cached results will no longer be found: cache version 1 → 2"
        monkeypatch.setattr(survey, "MOST_CACHED", 50)
        (impact,) = impacts(await make_plan(path, client), "tasks.double", ImpactKind.CACHE)
        assert impact.message.startswith("50 or more cached results")


async def start(client: AdminClient, version: str) -> None:
    """Start an execution of the workflow total, which nobody runs."""
    spec = execution_pb2.ExecutionSpec(
        launch_plan=identifier_pb2.Identifier(
            resource_type=identifier_pb2.LAUNCH_PLAN,
            project="acme",
            domain="development",
            name="tasks.total",
            version=version,
        )
    )
    request = execution_pb2.ExecutionCreateRequest(project="acme", domain="development", spec=spec)
    await client.create_execution(request)


async def test_executions_in_flight_are_counted_by_version(tmp_path: Path) -> None:
    """What has not ended of a changed workflow and its launch plan is counted; what has ended is not."""
    async with control_plane(tmp_path) as client:
        path = write_project(tmp_path / "work")
        first = await apply(path, client)
        version = next(each.version for each in first.steps if each.address.name == "tasks.total")
        assert version is not None
        for _ in range(2):
            await start(client, version)
        write_project(path.parent, tasks=TASKS.replace("retries=3", "retries=4"))
        plan = await make_plan(path, client)
        found = impacts(plan, "tasks.total", ImpactKind.EXECUTIONS)
        assert [each.message for each in found] == [
            f"2 executions in flight go on with the old version (2 on {version[:12]})",
            f"2 executions in flight go on with the old version (2 on {version[:12]})",
        ]
        assert impacts(plan, "nightly", ImpactKind.EXECUTIONS) == []
        assert impacts(plan, "tasks.add", ImpactKind.EXECUTIONS) == []


async def test_a_second_plan_is_the_same(tmp_path: Path) -> None:
    """Two plans of the same world are the same document, impacts included."""
    async with control_plane(tmp_path) as client:
        path = await with_others(tmp_path, client)
        write_project(path.parent, tasks=RENAMED, pipelines=PIPELINES.replace('{"x": 5}', '{"v": 5}'))
        first, second = [json.dumps(plan_document(await make_plan(path, client))) for _ in range(2)]
        assert first == second
