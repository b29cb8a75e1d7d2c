"""What stops a plan, as a program: breaking changes, policies, forms of output, and what a saved plan keeps."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jsonschema import Draft202012Validator

from flyteform.provision.provisioner import apply_plan, default_store, make_plan
from support.control_plane import control_plane
from support.declarations import PIPELINES, TASKS, write_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FLYTEFORM = str(Path(sys.executable).with_name("flyteform"))
SCHEMA = json.loads(files("flyteform.provision").joinpath("plan.schema.json").read_text())
THEIRS = """import sys

sys.path.insert(0, {folder!r})
from flyteform import workflow
from flyteform.provision import Workflow
from tasks import total


@workflow
def outer(x: int = 1) -> int:
    return total(x=x)


Workflow(outer, project="acme")
"""
BREAKING = TASKS.replace("def total(x: int = 1)", "def total(v: int = 1)").replace(
    "add(x=double(x=x), y=x)", "add(x=double(x=v), y=v)"
)
DENYING = """from flyteform.provision.policy import deny, policy, warn


@policy
def nothing_new(proposal):
    for each in proposal.tasks():
        yield deny("no new tasks today", each)
    yield warn("be careful")
"""


class Program:
    """The command, in an environment of its own."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "FLYTEFORM_ENDPOINT": endpoint}

    async def __call__(self, *arguments: str | Path, **environment: str) -> tuple[int, str, str]:
        """Run it and return code, output and errors."""
        process = await asyncio.create_subprocess_exec(
            FLYTEFORM,
            *map(str, arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment | environment,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def applied(folder: Path) -> AsyncIterator[tuple[Program, Path]]:
    """Run a control plane on which the example project and another's caller of it are applied."""
    path = write_project(folder / "work")
    theirs = folder / "theirs" / "others.py"
    theirs.parent.mkdir()
    theirs.write_text(THEIRS.format(folder=str(path.parent)))
    async with control_plane(folder) as client:
        for each in (path, theirs):
            store = default_store(each, client.config)
            result = await apply_plan(await make_plan(each, client, store), client, store)
            assert result.ok
        yield Program(folder, client.config.endpoint), path


async def test_breaking_changes_need_leave(tmp_path: Path) -> None:
    """Plan and apply show who breaks and end with 1, of a saved plan too; with --allow-breaking it is applied."""
    saved = tmp_path / "saved.plan"
    async with applied(tmp_path) as (program, path):
        write_project(path.parent, tasks=BREAKING, pipelines=PIPELINES.replace('{"x": 5}', '{"v": 5}'))
        for command in (("plan", path, "--out", saved), ("apply", saved)):
            code, out, err = await program(*command)
            assert code == 1
            assert "✗ breaks node n0 of workflow others.outer in acme/development: gives the input x, which" in out
            assert "Error: the plan breaks callers of workflow tasks.total in acme/development" in err
            assert "--allow-breaking" in err
        assert (await program("plan", path, "--out", saved, "--allow-breaking"))[0] == 2
        assert (await program("apply", saved))[0] == 0


async def test_policies_deny_and_warn(tmp_path: Path) -> None:
    """A denial ends plan and apply with 1 and holds for the saved plan too; a warning holds up nothing."""
    rules = tmp_path / "rules.py"
    rules.write_text(DENYING)
    async with applied(tmp_path) as (program, path):
        write_project(path.parent, pipelines=PIPELINES.replace("0 3", "0 4"))
        code, out, _ = await program("plan", path, "--policy", rules, "--policy", "flyteform.provision.policies")
        assert (code, "! warn nothing_new: be careful" in out) == (2, True)
        write_project(path.parent, tasks=TASKS.replace("retries=3", "retries=4"))
        saved = tmp_path / "saved.plan"
        code, out, err = await program("plan", path, "--out", saved, FLYTEFORM_POLICY=str(rules))
        assert code == 1
        assert "✗ deny nothing_new: no new tasks today (task tasks.add in acme/development)" in out
        assert "Error: the plan is denied by policy: nothing_new" in err
        code, _, err = await program("apply", saved)
        assert (code, "denied by policy" in err) == (1, True)
        rules.write_text(DENYING.replace("proposal.tasks()", "proposal.nothing()"))
        code, _, err = await program("apply", path, "-y", "--policy", rules)
        assert (code, "rules.py:6: AttributeError" in err, "Traceback" in err) == (1, True, False)


async def test_forms_of_output(tmp_path: Path) -> None:
    """JSON fits its schema, Markdown folds, colours can be had, calls are counted, and none of them has a secret."""
    async with applied(tmp_path) as (program, path):
        hidden = 'environment={"DB_PASSWORD": "hunter2Xq"}, retries=3'
        write_project(path.parent, tasks=TASKS.replace("retries=3", hidden).replace('version="1"', 'version="2"'))
        code, out, err = await program("plan", path, "--json")
        assert code == 2, err
        document = json.loads(out)
        Draft202012Validator(SCHEMA).validate(document)
        assert document["requests"] > 0
        kinds = {impact["kind"] for change in document["changes"] for impact in change["impacts"]}
        assert kinds == {"cache", "schedule"}
        code, markdown, _ = await program("plan", path, "--markdown")
        assert code == 2
        assert markdown.startswith("### Plan: 0 to create, ")
        assert "| `environment.DB_PASSWORD` |  | `(secret)` |" in markdown
        code, colored, _ = await program("plan", path, "--color", "--verbose")
        assert "\x1b[" in colored
        assert "calls to the platform: " in colored
        for text in (out, markdown, colored):
            assert "hunter2Xq" not in text


async def test_forms_exclude_each_other(tmp_path: Path) -> None:
    """Two forms at once are a usage error."""
    path = write_project(tmp_path / "work")
    code, _, err = await Program(tmp_path, "127.0.0.1:1")("plan", path, "--json", "--markdown")
    assert (code, "exclude each other" in err) == (1, True)
