"""Versions are digests: what changes them, what does not, and what reaches whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyteform.errors import InvalidInputError, NotFoundError
from flyteform.provision.desired import Target, declare
from flyteform.provision.digest import VERSION_LENGTH
from flyteform.provision.errors import DeclarationError
from support.declarations import FILES, PIPELINES, PLACE, TASKS, declared, versions, write_project

if TYPE_CHECKING:
    from pathlib import Path

ALL = {"task:tasks.double", "task:tasks.add", "workflow:tasks.total", "launch_plan:nightly", "launch_plan:tasks.total"}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the entities whose versions differ."""
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_another_directory_gives_the_same_versions(tmp_path: Path) -> None:
    """The same files in another directory are the same declaration to the last byte."""
    first = declare(write_project(tmp_path / "one"), PLACE)
    second = declare(write_project(tmp_path / "elsewhere" / "two"), PLACE)
    assert first == second
    assert versions(first).keys() == ALL
    assert {len(version) for version in versions(first).values()} == {VERSION_LENGTH}


def test_project_and_domain_do_not_count(tmp_path: Path) -> None:
    """What is promoted from one domain to another keeps its versions."""
    path = write_project(tmp_path)
    (tmp_path / "tasks.py").write_text(TASKS)
    first = declare(tmp_path / "tasks.py", Target("p", "development"))
    second = declare(tmp_path / "tasks.py", Target("q", "production"))
    assert versions(first) == versions(second)
    assert path.is_file()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=30))
def test_a_comment_in_an_unreachable_module_changes_nothing(tmp_path: Path, comment: str) -> None:
    """Modules that no task can reach may say what they like."""
    before = declared(tmp_path)
    assert declared(tmp_path, unrelated=f"# {comment}\n") == before


def test_the_declaration_itself_is_not_code_of_a_task(tmp_path: Path) -> None:
    """A schedule that changes in the declaring module makes a new launch plan and nothing else."""
    before = declared(tmp_path)
    after = declared(tmp_path, pipelines=PIPELINES.replace("0 3 * * *", "0 4 * * *"))
    assert changed(before, after) == {"launch_plan:nightly"}


def test_an_imported_module_counts(tmp_path: Path) -> None:
    """Changed source of a module that tasks import makes new versions of them and of all that calls them."""
    before = declared(tmp_path)
    assert changed(before, declared(tmp_path, helpers=FILES["helpers.py"].replace("FACTOR = 2", "FACTOR = 3"))) == ALL


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('cpu="1"', 'cpu="2"', "task:tasks.double"),
        ('cache_version="1"', 'cache_version="2"', "task:tasks.double"),
        ("retries=3", "retries=4", "task:tasks.add"),
        ("y=x)\n", "y=2)\n", "workflow:tasks.total"),
    ],
)
def test_settings_and_graphs_count(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """An edit of settings or of the graph makes a new version of what it is in."""
    before = declared(tmp_path)
    assert expected in changed(before, declared(tmp_path, tasks=TASKS.replace(old, new)))


def test_the_image_counts(tmp_path: Path) -> None:
    """Tasks that name no image follow the default one, and their callers with them."""
    path = write_project(tmp_path)
    before = versions(declare(path, PLACE))
    assert changed(before, versions(declare(path, Target("flytesnacks", "development", "other:1")))) == ALL


def test_the_default_launch_plan_has_the_workflows_version(tmp_path: Path) -> None:
    """Stock clients look the default launch plan up by the version of its workflow."""
    found = declared(tmp_path)
    assert found["launch_plan:tasks.total"] == found["workflow:tasks.total"]


def test_code_travels_in_one_bundle_per_root(tmp_path: Path) -> None:
    """All tasks of one source root share a bundle; workflows and launch plans have none."""
    desired = declare(write_project(tmp_path), PLACE)
    assert len(desired.bundles) == 1
    assert {each.bundle is not None for each in desired.entities if each.address.kind == "task"} == {True}
    assert {each.bundle for each in desired.entities if each.address.kind != "task"} == {None}


def test_a_module_without_resources_stands_for_all_that_it_defines(tmp_path: Path) -> None:
    """Its tasks and workflows go to the given project and domain, with default launch plans."""
    write_project(tmp_path)
    desired = declare(tmp_path / "tasks.py", Target("p", "d"))
    assert versions(desired).keys() == ALL - {"launch_plan:nightly"}
    assert {(each.address.project, each.address.domain) for each in desired.entities} == {("p", "d")}


def test_a_directory_is_all_of_its_modules(tmp_path: Path) -> None:
    """A directory declares what its modules do, packages included, tests left out."""
    write_project(tmp_path)
    (tmp_path / "test_it.py").write_text("raise RuntimeError")
    package = tmp_path / "more"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "projects.py").write_text("from flyteform.provision import Project\nProject('beta')\n")
    assert {project.id for project in declare(tmp_path, PLACE).projects} == {"acme", "beta"}


def test_loops_and_functions_declare(tmp_path: Path) -> None:
    """Resources made in a loop, one per team, are all declared."""
    path = tmp_path / "teams.py"
    path.write_text("from flyteform.provision import Project\nfor team in 'abc':\n    Project(f'team-{team}')\n")
    assert [project.id for project in declare(path, PLACE).projects] == ["team-a", "team-b", "team-c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "declares nothing"),
        ("def f(:\n", r"bad\.py:1"),
        ("import missing_package\n", "missing_package"),
        ("raise SystemExit(3)\n", r"bad\.py:1"),
        (
            "from flyteform.provision import Project\nProject('a', name='x')\nProject('a', name='y')\n",
            "declared twice",
        ),
        (
            PIPELINES + 'LaunchPlan(everyday, name="nightly", default_inputs={"x": 6})\n',
            "declared twice",
        ),
        (PIPELINES + 'LaunchPlan(everyday, name="nightly", default_inputs={"z": 6})\n', "z"),
        (PIPELINES + "LaunchPlan(everyday, name='a b')\n", "cannot be the name"),
        (PIPELINES + "LaunchPlan(total)\nLaunchPlan(total, active=False, project=acme)\n", "active and inactive"),
        (PIPELINES + "LaunchPlan(nightly.definition, name='other')\n", "already"),
    ],
)
def test_bad_declarations_are_refused_with_one_message(tmp_path: Path, text: str, message: str) -> None:
    """What is wrong is said by an error of ours, never by a traceback of Python's."""
    write_project(tmp_path)
    path = tmp_path / "bad.py"
    path.write_text(text.replace("LaunchPlan(total)", "LaunchPlan(total, project=acme)"))
    with pytest.raises(InvalidInputError, match=message):
        declare(path, PLACE)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    """A wrong path is named."""
    with pytest.raises(NotFoundError, match="nowhere"):
        declare(tmp_path / "nowhere.py", PLACE)
    with pytest.raises(InvalidInputError, match="no Python module"):
        declare(tmp_path, PLACE)


def test_declarations_are_errors_of_their_own() -> None:
    """A contradiction is a definition error, so that commands treat it as bad input."""
    assert issubclass(DeclarationError, InvalidInputError)


NODE_KINDS = """
from datetime import timedelta
import flyteform as fl

@fl.task
def inc(x: int) -> int:
    return x + 1

@fl.task
def clean(x: int) -> None: ...

@fl.dynamic
def fan(n: int) -> int:
    return inc(x=n)

@fl.reference_task(project="p", domain="d", name="a.b", version="v1")
def elsewhere(x: int) -> int: ...

@fl.workflow(on_failure=clean)
def wf(x: int) -> int:
    chosen = fl.conditional("c").if_(x > 1).then(fan(n=x)).else_().then(inc(x=elsewhere(x=x)) if False else inc(x=x))
    agreed = fl.approve(chosen, "ok", timeout=timedelta(hours=1))
    elsewhere(x=agreed)
    return agreed
"""


@pytest.mark.parametrize(("before", "after"), [
    ("x > 1", "x > 2"), ("x > 1", "x >= 1"), ("hours=1", "hours=2"), ('version="v1"', 'version="v2"'),
    ("(on_failure=clean)", ""),
])  # fmt: skip
def test_every_part_of_a_graph_counts(tmp_path: Path, before: str, after: str) -> None:
    """Conditions, gates, failure nodes and what is registered elsewhere are in a workflow's version, and only there."""
    path = tmp_path / "kinds.py"
    path.write_text(NODE_KINDS)
    first = versions(declare(path, PLACE))
    assert versions(declare(path, PLACE)) == first
    expected = {"task:kinds.inc", "task:kinds.clean", "task:kinds.fan", "workflow:kinds.wf", "launch_plan:kinds.wf"}
    assert expected == first.keys()
    other = tmp_path / "other" / "kinds.py"
    other.parent.mkdir()
    other.write_text(NODE_KINDS.replace(before, after))
    second = versions(declare(other, PLACE))
    assert second["workflow:kinds.wf"] != first["workflow:kinds.wf"]
