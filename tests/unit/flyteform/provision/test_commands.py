"""plan, apply and destroy as programs: exit codes, output for people and machines, bad input."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest

from support.control_plane import control_plane
from support.declarations import PIPELINES, write_project

if TYPE_CHECKING:
    from flyteform.client.admin import AdminClient

FLYTEFORM = str(Path(sys.executable).with_name("flyteform"))


async def flyteform(folder: Path, *arguments: str | Path, endpoint: str = "127.0.0.1:1") -> tuple[int, str, str]:
    """Run the command without a terminal, with no settings but the endpoint; return code, output and errors."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "FLYTEFORM_ENDPOINT": endpoint}
    process = await asyncio.create_subprocess_exec(
        FLYTEFORM,
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def endpoint(client: AdminClient) -> str:
    """Return where the test's control plane is."""
    return client.config.endpoint


async def test_the_exit_codes_of_a_life_cycle(tmp_path: Path) -> None:
    """Plan is 2 with changes and 0 without, apply and destroy are 0, and nothing is coloured in a pipe."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        at = endpoint(client)
        code, out, err = await flyteform(tmp_path, "plan", path, endpoint=at)
        assert (code, err) == (2, "")
        assert out.endswith("Plan: 6 to create, 0 to update, 0 to archive.\n")
        assert "\x1b" not in out
        assert (await flyteform(tmp_path, "apply", path, "--auto-approve", endpoint=at))[0] == 0
        code, out, _ = await flyteform(tmp_path, "plan", path, endpoint=at)
        assert (code, out) == (0, f"No changes: {at} is as declared (6 resources).\n")
        assert (await flyteform(tmp_path, "destroy", path, "-y", endpoint=at))[0] == 0
        assert (await flyteform(tmp_path, "plan", path, endpoint=at))[0] == 2


async def test_json_is_a_document_of_its_version(tmp_path: Path) -> None:
    """`plan --json` prints one JSON document with format, version, summary and changes."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        code, out, _ = await flyteform(tmp_path, "plan", path, "--json", endpoint=endpoint(client))
        document = json.loads(out)
        assert code == 2
        assert (document["format"], document["version"]) == ("flyteform-plan", 1)
        summary = {"create": 6, "update": 0, "archive": 0, "unchanged": 0, "drift": 0, "breaking": 0}
        assert document["summary"] == summary
        assert document["changes"][0] == {
            "kind": "project",
            "project": "acme",
            "domain": "",
            "name": "acme",
            "action": "create",
            "reason": "does not exist",
            "version": None,
            "previous_version": None,
            "drift": False,
            "moved_from": None,
            "fields": [
                {"path": "description", "before": None, "after": "Makes everything"},
                {"path": "labels.team", "before": None, "after": "a"},
                {"path": "name", "before": None, "after": "Acme"},
                {"path": "state", "before": None, "after": "active"},
            ],
            "breaking": False,
            "impacts": [],
            "depends_on": [],
        }


async def test_a_saved_plan_is_applied_once(tmp_path: Path) -> None:
    """`apply FILE` needs neither the declaration nor an answer, and is refused the second time."""
    path = write_project(tmp_path / "work")
    saved = tmp_path / "saved.plan"
    async with control_plane(tmp_path) as client:
        at = endpoint(client)
        assert (await flyteform(tmp_path, "plan", path, "--out", saved, endpoint=at))[0] == 2
        text = path.read_text()
        path.write_text("raise RuntimeError\n")
        assert (await flyteform(tmp_path, "apply", saved, endpoint=at))[0] == 0
        code, _, err = await flyteform(tmp_path, "apply", saved, endpoint=at)
        assert code == 1
        assert "has changed since this plan was saved" in err
        path.write_text(text)
        assert (await flyteform(tmp_path, "plan", path, endpoint=at))[0] == 0


DECLARED = """
from flyteform.provision import *

here = Project("acme", labels={"team": "a"}, protect=True)
Settings(ExecutionSettings(max_parallelism=5, environment={"DB_PASSWORD": "%s"}), project=here)
Settings(ExecutionSettings(max_parallelism=6), project=here, domain="development", ignore_changes=["max_parallelism"])
"""


async def test_a_saved_plan_holds_all_that_is_declared(tmp_path: Path) -> None:
    """Settings, options and what `--target` leaves alone are saved too; values of secrets are not readable in it."""
    (tmp_path / "work").mkdir()
    path, saved = tmp_path / "work" / "declared.py", tmp_path / "saved.plan"
    async with control_plane(tmp_path) as client:
        at = endpoint(client)
        for secret, options in (("first-one", ()), ("other-one", ("--target", "settings:*"))):
            path.write_text(DECLARED % secret)
            assert (await flyteform(tmp_path, "plan", path, "--out", saved, *options, endpoint=at))[0] == 2
            assert secret not in saved.read_text()
            assert await flyteform(tmp_path, "apply", saved, endpoint=at) == (0, ANY, "")
            assert (await flyteform(tmp_path, "plan", path, endpoint=at))[0] == 0
        code, _, err = await flyteform(tmp_path, "destroy", path, "-y", endpoint=at)
        assert (code, "protected" in err) == (1, True)


async def test_without_a_terminal_and_without_approval_nothing_is_written(tmp_path: Path) -> None:
    """Apply and destroy refuse to guess the answer, and say how to give it."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        at = endpoint(client)
        code, _, err = await flyteform(tmp_path, "apply", path, endpoint=at)
        assert code == 1
        assert "no terminal to ask on" in err
        assert "-y" in err
        assert not (path.parent / ".flyteform").exists()
        assert (await flyteform(tmp_path, "plan", path, endpoint=at))[0] == 2


@pytest.mark.parametrize("command", ["plan", "apply", "destroy"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("def f(:\n", "declared.py:1"),
        ("import nowhere_to_be_found\n", "nowhere_to_be_found"),
        ("x = 1\n", "declares nothing"),
        (PIPELINES, "cannot reach 127.0.0.1:1: is it running?"),
    ],
)
async def test_bad_input_is_one_message_and_writes_nothing(
    tmp_path: Path, command: str, text: str | None, message: str
) -> None:
    """A wrong path, a broken or empty module, a silent endpoint: one message, exit 1, no file, no traceback."""
    write_project(tmp_path / "work")
    path = tmp_path / "work" / "declared.py"
    if text is not None:
        path.write_text(text)
    before = sorted(each.name for each in path.parent.iterdir())
    code, out, err = await flyteform(tmp_path, command, path)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ")
    assert message in err
    assert "Traceback" not in err
    assert sorted(each.name for each in path.parent.iterdir() if each.name != "__pycache__") == before


async def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    """Apply of a file that is neither Python nor a saved plan says how to make one."""
    other = tmp_path / "other.json"
    other.write_text("{}")
    code, _, err = await flyteform(tmp_path, "apply", other)
    assert code == 1
    assert "no saved plan" in err
