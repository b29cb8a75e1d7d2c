"""Stock flytekit 1.16.31 against the embedded platform: register, run, wait, outputs, failure."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.platform import Platform, clean_environment, running

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
WORKFLOWS = HERE / "workflows"


@pytest.fixture(scope="module")
def flytekit() -> Path:
    """Give the folder with the stock client's programs; `make compat` makes it and `make test` says where."""
    named = os.environ.get("FLYTEFORM_FLYTEKIT")
    if named is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        named = str(cache / "flyteform" / "flytekit-1.16.31")
    programs = Path(named) / "bin"
    assert (programs / "pyflyte").exists(), f"no stock client in {programs}: run `make compat`"
    return programs


@pytest.fixture(scope="module")
def platform(flytekit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give a platform that runs flytekit's images with the stock client's interpreter."""
    with running(tmp_path_factory.mktemp("compat"), f"--image=*flytekit*={flytekit / 'python'}") as started:
        yield started


def call(program: Path, *arguments: str, platform: Platform) -> subprocess.CompletedProcess[str]:
    """Run one of the stock client's programs against the platform."""
    environment = {
        **clean_environment(platform.home),
        "FLYTE_PLATFORM_URL": platform.grpc,
        "FLYTE_PLATFORM_INSECURE": "true",
    }
    return subprocess.run(
        [str(program), *arguments],
        cwd=WORKFLOWS,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def test_register_run_wait_outputs(flytekit: Path, platform: Platform) -> None:
    """`pyflyte register`, `pyflyte run --remote` of two tasks, then FlyteRemote's wait, nodes and outputs."""
    project = ("-p", "flytesnacks", "-d", "development")
    registered = call(flytekit / "pyflyte", "register", *project, "two_steps.py", platform=platform)
    assert registered.returncode == 0, registered.stdout + registered.stderr
    again = call(flytekit / "pyflyte", "register", *project, "two_steps.py", platform=platform)
    assert again.returncode == 0, again.stdout + again.stderr

    run = call(
        flytekit / "pyflyte", "run", "--remote", *project, "two_steps.py", "two_steps", "--n", "4", platform=platform
    )
    assert run.returncode == 0, run.stdout + run.stderr
    execution = re.search(r"/executions/([a-z][a-z0-9-]+)", run.stdout)
    assert execution is not None, run.stdout

    client = call(
        flytekit / "python", str(HERE / "remote_client.py"), platform.grpc, execution.group(1), platform=platform
    )
    assert client.returncode == 0, client.stdout + client.stderr
    seen = json.loads(client.stdout.splitlines()[-1])
    assert seen["phase"] == 4
    assert seen["outputs"] == {"total": 14, "text": "0 1 4 9"}
    assert seen["first_node_outputs"] == [0, 1, 4, 9]
    assert seen["nodes"]["n0"] == seen["nodes"]["n1"] == {"phase": 3, "attempts": 1}
    assert seen["launched_total"] == 30
    assert execution.group(1) in seen["recent"]


def test_a_failing_task_is_seen_with_its_error(flytekit: Path, platform: Platform) -> None:
    """`pyflyte run --remote --wait` of a workflow whose task raises ends in failure and shows the user's own error."""
    run = call(
        flytekit / "pyflyte", "run", "--remote", "--wait", "--poll-interval", "1", "two_steps.py", "failing",
        platform=platform,
    )  # fmt: skip
    assert "no 1 for you" in run.stdout + run.stderr
