"""The platform is killed again and again while it works: everything ends as if nobody had touched it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.platform import alive, running, wait_until

if TYPE_CHECKING:
    from support.platform import Platform

WORKFLOW = Path(__file__).parent / "workflows" / "mixed.py"
KILLS = 50
SCOPE = "flytesnacks/development"
LONGEST = 1.2  # seconds from a start to the kill


def launch(platform: Platform, version: str, number: int) -> str:
    """Launch the mixed or the failing workflow, every fifth time; return the execution's name."""
    workflow = "mixed.failing" if number % 5 == 0 else "mixed.mixed"
    plan = {"resourceType": "LAUNCH_PLAN", "project": "flytesnacks", "domain": "development", "name": workflow}
    inputs = {"literals": {"number": {"scalar": {"primitive": {"integer": str(number)}}}}}
    body = {
        "project": "flytesnacks",
        "domain": "development",
        "name": f"run{number}",
        "spec": {"launchPlan": {**plan, "version": version}},
        "inputs": inputs,
    }
    request = urllib.request.Request(  # noqa: S310 - loopback
        f"{platform.http}/api/v1/executions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        return str(json.load(answer)["id"]["name"])


def executions(platform: Platform) -> dict[str, dict[str, Any]]:
    """Return the closures of all executions."""
    found = json.loads(platform.get(f"/api/v1/executions/{SCOPE}?limit=1000"))
    return {execution["id"]["name"]: execution["closure"] for execution in found.get("executions", [])}


def results(platform: Platform) -> dict[Path, str]:
    """Return what attempts and nodes have left as their results, by a digest of each."""
    metadata = platform.state_dir / "objects" / "metadata" / "propeller"
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in metadata.rglob("outputs.pb")}


def kill(platform: Platform) -> dict[Path, str]:
    """Kill the platform's own process, see all others end with it, and return the results that there are."""
    below = platform.tree()
    os.kill(platform.process.pid, signal.SIGKILL)
    platform.process.wait(timeout=10)
    try:
        wait_until(lambda: not alive(below), seconds=60, what="no process of the killed platform is left")
    except AssertionError as error:
        left = [Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")[:200] for pid in alive(below)]
        raise AssertionError(f"{error}: {left}") from error
    return results(platform)


@pytest.mark.timeout(900)
def test_fifty_kills(tmp_path: Path) -> None:
    """Every run ends as without kills, no task that has left its result runs again, no process is left behind."""
    source = random.Random(20)  # noqa: S311 - the same moments each time
    kept: dict[Path, str] = {}
    with running(tmp_path) as platform:
        registered = platform.run("run", "--remote", "--name", "first", str(WORKFLOW), "mixed", "--number", "1")
        assert registered.returncode == 0, registered.stderr
        failing = platform.run("run", "--remote", "--name", "second", str(WORKFLOW), "failing", "--number", "5")
        assert failing.returncode == 1, failing.stdout
        versions = {
            name: json.loads(platform.get(f"/api/v1/executions/{SCOPE}/{name}"))["spec"]["launch_plan"]["version"]
            for name in ("first", "second")
        }
        for number in range(10, 10 + KILLS):
            launch(platform, versions["second" if number % 5 == 0 else "first"], number)
            # The moment is what is random here: nothing is waited for.
            threading.Event().wait(source.random() * LONGEST)
            found = kill(platform)
            assert {path: found.get(path) for path in kept} == kept, "a task ran again whose result was there"
            kept = found
            platform.start()
        wait_until(
            lambda: all(run["phase"] in ("SUCCEEDED", "FAILED") for run in executions(platform).values()),
            seconds=240,
            what="all executions have ended",
        )
        ended = executions(platform)
        assert {path: digest for path, digest in results(platform).items() if path in kept} == kept
        check(ended)


def check(ended: dict[str, dict[str, Any]]) -> None:
    """Compare the ends with those of the two runs that nobody disturbed."""
    runs = {name: run for name, run in ended.items() if re.fullmatch(r"run\d+", name)}
    assert len(runs) == KILLS
    for name, run in runs.items():
        fault_free = ended["second" if int(name.removeprefix("run")) % 5 == 0 else "first"]
        assert run["phase"] == fault_free["phase"], (name, run.get("error"))
        if run["phase"] == "FAILED":
            assert run["error"]["code"] == fault_free["error"]["code"]
            assert "is refused" in run["error"]["message"]
    succeeded = [run for run in ended.values() if run["phase"] == "SUCCEEDED"]
    mixed = [name for name, run in runs.items() if run["phase"] == "SUCCEEDED"]
    assert len(succeeded) == 2 * (len(mixed) + 1), "each mixed workflow, the undisturbed one too, has one child"
