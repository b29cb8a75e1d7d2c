"""The commands around the state, as programs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.provision.ports import Holder
from flyteform.provision.state_service import ServiceBackend
from support.control_plane import control_plane
from support.declarations import PIPELINES, write_project

if TYPE_CHECKING:
    from flyteform.client.admin import AdminClient

FLYTEFORM = str(Path(sys.executable).with_name("flyteform"))
STATE = "flyteform://flytesnacks/development/pipelines"
NIGHTLY = "launch_plan:acme/development/nightly"


class Shell:
    """Runs commands against one platform, without a terminal."""

    def __init__(self, folder: Path, client: AdminClient) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "FLYTEFORM_ENDPOINT": client.config.endpoint,
        }

    async def __call__(self, *words: str | Path, **environment: str) -> tuple[int, str, str]:
        """Return code, output and errors."""
        process = await self.start(*words, **environment)
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def start(self, *words: str | Path, **environment: str) -> asyncio.subprocess.Process:
        """Begin."""
        return await asyncio.create_subprocess_exec(
            FLYTEFORM,
            *map(str, words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment | environment,
        )


def passphrase(text: str, *, new: bool = False) -> dict[str, str]:
    """Return the environment that gives it."""
    return {"FLYTEFORM_STATE_NEW_PASSPHRASE" if new else "FLYTEFORM_STATE_PASSPHRASE": text}


async def test_a_state_on_the_platform_from_apply_to_rollback(tmp_path: Path) -> None:
    """Applied, listed, shown, gone back in, drifted from and destroyed by the URL of a state; nothing lies beside."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        run = Shell(tmp_path, client)
        assert (await run("apply", path, "-y", "--state", STATE))[0] == 0
        write_project(path.parent, pipelines=PIPELINES.replace("0 3", "0 4"))
        assert (await run("apply", path, "-y", FLYTEFORM_STATE=STATE))[0] == 0
        assert not (path.parent / ".flyteform").exists()
        code, out, _ = await run("state", "list", STATE)
        assert code == 0
        assert out.splitlines()[0].startswith(f"{NIGHTLY}  ")
        assert len(out.splitlines()) == 6
        shown = json.loads((await run("state", "show", STATE, NIGHTLY))[1])
        assert len(shown["history"]) == 2
        code, out, _ = await run("drift", path, FLYTEFORM_STATE=STATE)
        assert code == 0
        assert "(6 resources)" in out
        code, _, err = await run("drift", path)
        assert code == 1
        assert "nothing was applied with it" in err
        assert (await run("rollback", STATE, NIGHTLY, "-y"))[0] == 0
        back = json.loads((await run("state", "show", STATE, NIGHTLY))[1])
        assert back["version"] == shown["history"][0]["version"]
        assert len((await run("state", "history", STATE))[1].splitlines()) == 3


async def test_drift_has_its_exit_codes(tmp_path: Path) -> None:
    """0 without, 2 with drift, as text and as a document; 1 where there is nothing to compare."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        run = Shell(tmp_path, client)
        assert (await run("apply", path, "-y"))[0] == 0
        project = await client.get_project("acme")
        del project.domains[:]
        project.name = "Hacked"
        await client.update_project(project)
        code, out, _ = await run("drift", path)
        assert code == 2
        assert "project:acme" in out
        assert "name: Acme was applied, Hacked is there" in out
        code, out, _ = await run("drift", path, "--json")
        document = json.loads(out)
        assert (code, document["format"], len(document["changes"])) == (2, "flyteform-drift", 1)
        code, _, err = await run("drift", tmp_path / "nowhere.py")
        assert code == 1
        assert "does not exist" in err


async def test_a_state_moves_between_places_and_passphrases(tmp_path: Path) -> None:
    """Pull and push bring it elsewhere; encrypted it needs its passphrase, which can be changed and taken away."""
    path, copy, other = write_project(tmp_path / "work"), tmp_path / "copy.json", tmp_path / "other.json"
    async with control_plane(tmp_path) as client:
        run = Shell(tmp_path, client)
        assert (await run("apply", path, "-y"))[0] == 0
        assert (await run("state", "pull", path, copy))[0] == 0
        assert (await run("state", "push", STATE, copy))[0] == 0
        assert (await run("plan", path, "--state", STATE))[0] == 0
        other.write_text(copy.read_text())
        assert (await run("state", "passphrase", other, **passphrase("one", new=True)))[0] == 0
        code, _, err = await run("state", "list", other)
        assert (code, "is encrypted" in err) == (1, True)
        code, _, err = await run("state", "list", other, **passphrase("two"))
        assert (code, err.count("\n")) == (1, 2)
        assert "passphrase is not that of the state" in err
        (tmp_path / "new").write_text("two\n")
        changed = await run("state", "passphrase", other, "--new-file", tmp_path / "new", **passphrase("one"))
        assert changed[0] == 0
        pulled = await run("state", "pull", other, FLYTEFORM_STATE_PASSPHRASE_FILE=str(tmp_path / "new"))
        assert json.loads(pulled[1])["resources"] == json.loads(copy.read_text())["resources"]
        assert (await run("state", "passphrase", other, "--remove", **passphrase("two")))[0] == 0
        assert (await run("state", "list", other))[0] == 0


async def test_import_writes_a_declaration_that_plans_to_nothing(tmp_path: Path) -> None:
    """The file is written once, unless forced; its plan has nothing to do; a project that is not there is an error."""
    path, declared = write_project(tmp_path / "work"), tmp_path / "acme.py"
    async with control_plane(tmp_path) as client:
        run = Shell(tmp_path, client)
        assert (await run("apply", path, "-y"))[0] == 0
        code, out, err = await run("import", "-p", "acme", declared)
        assert (code, err) == (0, "")
        assert "declares 6 resources" in out
        code, _, err = await run("import", "-p", "acme", declared)
        assert code == 1
        assert "--force" in err
        assert (await run("plan", declared))[0] == 0
        code, out, err = await run("import", "-p", "nobody")
        assert (code, out) == (1, "")
        assert err.startswith("Error: ")


async def test_a_held_state_is_waited_for_or_taken(tmp_path: Path) -> None:
    """An apply is refused with the holder's name, or waits as it is told; `state unlock` shows who and takes it."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        run = Shell(tmp_path, client)
        backend = ServiceBackend(STATE, client.caller)
        lease = await backend.acquire(Holder("ann@laptop", ""))
        code, _, err = await run("apply", path, "-y", "--state", STATE)
        assert code == 1
        assert "is held by ann@laptop since 20" in err
        assert "state unlock" in err
        waiting = await run.start("apply", path, "-y", "--state", STATE, "--lock-timeout", "5m")
        assert waiting.stderr is not None
        assert b"Waiting: the state is held by ann@laptop" in await waiting.stderr.readline()
        await lease.release()
        await waiting.communicate()
        assert waiting.returncode == 0
        await backend.acquire(Holder("ann@laptop", ""))
        code, out, err = await run("state", "unlock", STATE)
        assert code == 1
        assert "is held by ann@laptop" in out
        assert (await run("state", "unlock", STATE, "-y"))[0] == 0
        assert (await run("apply", path, "-y", "--state", STATE))[0] == 0


async def test_two_applies_at_once_of_which_one_waits(tmp_path: Path) -> None:
    """Both succeed, one after the other, and together they have created everything once."""
    path = write_project(tmp_path / "work")
    async with control_plane(tmp_path) as client:
        run = Shell(tmp_path, client)
        both = await asyncio.gather(*(run("apply", path, "-y", "--lock-timeout", "5m") for _ in range(2)))
        assert [code for code, _, _ in both] == [0, 0], both
        assert sum("Applied: " in out for _, out, _ in both) <= 2
        assert (await run("plan", path))[0] == 0
        rows = client.list_launch_plans("acme", "development")
        assert sorted([row.id.name async for row in rows]) == ["nightly", "tasks.total"]


async def test_an_interrupted_apply_finishes_what_runs(tmp_path: Path) -> None:
    """After SIGINT nothing further begins, what ran is recorded, what is left is named, and the next apply does it."""
    path = write_project(tmp_path / "work")
    many = "".join(f'LaunchPlan(everyday, name="p{number}")\n' for number in range(15))
    write_project(path.parent, pipelines=PIPELINES + many)
    async with control_plane(tmp_path) as client:
        run = Shell(tmp_path, client)
        process = await run.start("apply", path, "-y", "--parallelism", "1")
        assert process.stdout is not None
        while b"create task" not in await process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        if process.returncode != 0:  # it may have been quicker than the signal
            assert process.returncode == 130
            assert b"interrupted" in out
            assert b"The next apply goes on" in out
            assert b"Traceback" not in err
        assert (await run("apply", path, "-y"))[0] == 0
        assert (await run("plan", path))[0] == 0
