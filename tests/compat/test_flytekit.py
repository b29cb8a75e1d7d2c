"""Stock flytekit 1.16.31 against the embedded platform: register, run, wait, outputs, failure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from support import stock

if TYPE_CHECKING:
    import subprocess

    from support.platform import Platform

HERE = Path(__file__).parent


def call(program: Path, *arguments: str, platform: Platform) -> subprocess.CompletedProcess[str]:
    """Run one of the stock client's programs against the platform."""
    return stock.call(program, *arguments, home=platform.home, endpoint=platform.grpc)


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
