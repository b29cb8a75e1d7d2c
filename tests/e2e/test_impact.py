"""What a plan says about a platform that is at work: cached results, executions in flight, schedules, real callers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.platform import running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.platform import Platform

FLOWS = """import time
from pathlib import Path

from flyteform import task, workflow


@task(cache=True, cache_version="1")
def double(x: int) -> int:
    return 2 * x


@task
def wait(x: int, file: str) -> int:
    while file and not Path(file).exists():
        time.sleep(0.05)
    return x


@workflow
def total(x: int = 1, file: str = "") -> int:
    return wait(x=double(x=x), file=file)
"""
DECLARED = """from flyteform import CronSchedule
from flyteform.provision import LaunchPlan, Workflow
from flows import total

LaunchPlan(Workflow(total), name="nightly", default_inputs={"x": 5}, schedule=CronSchedule(schedule="0 3 * * *"))
"""
THEIRS = """from flyteform import workflow
from flyteform.provision import Workflow
from flows import total


@workflow
def outer(x: int = 1) -> int:
    return total(x=x, file="")


Workflow(outer)
"""
POLICY = """from flyteform.provision.policies import no_breaking_under_schedule

rule = no_breaking_under_schedule.configured()
"""


def plan(platform: Platform, path: Path, *options: str) -> tuple[int, dict[str, list[str]]]:
    """Return the exit code and the messages of all impacts by name."""
    done = platform.run("plan", str(path), "--json", *options)
    messages: dict[str, list[str]] = {}
    for change in json.loads(done.stdout)["changes"]:
        messages.setdefault(change["name"], []).extend(impact["message"] for impact in change["impacts"])
    return done.returncode, messages


def test_a_plan_says_what_it_means(tmp_path: Path) -> None:
    """From a run that fills the cache and one that still runs, to a breaking change under a schedule and its apply."""
    flows, path, theirs = tmp_path / "flows.py", tmp_path / "declared.py", tmp_path / "theirs.py"
    flows.write_text(FLOWS)
    path.write_text(DECLARED)
    theirs.write_text(THEIRS)
    (tmp_path / "rules.py").write_text(POLICY)
    gate = tmp_path / "go"
    with running(tmp_path / "home") as platform:
        for each in (path, theirs):
            applied = platform.run("apply", str(each), "-y")
            assert applied.returncode == 0, applied.stderr + applied.stdout
        ran = platform.run("run", "--remote", str(flows), "total", "--x", "3")
        assert ran.returncode == 0, ran.stderr
        slow = ("run", "--remote", "--no-wait", "--name", "slow", str(flows), "total", "--x", "3", "--file", str(gate))
        assert platform.run(*slow).returncode == 0

        flows.write_text(FLOWS.replace('cache_version="1"', 'cache_version="2"'))
        path.write_text(DECLARED.replace("0 3 * * *", "CRON_TZ=Europe/Berlin 0 4 * * *"))
        code, messages = plan(platform, path)
        assert code == 2
        assert messages["flows.double"] == ["1 cached result will no longer be found: cache version 1 → 2"]
        assert messages["flows.total"][0].startswith("1 execution in flight goes on with the old version (1 on ")
        (nightly,) = messages["nightly"]
        assert nightly.startswith("cron 0 3 * * * → cron CRON_TZ=Europe/Berlin 0 4 * * *: fires ")
        text = platform.run("plan", str(path)).stdout
        assert "        ! 1 cached result will no longer be found: cache version 1 → 2\n" in text
        assert "            now: 20" in text
        assert platform.run("plan", str(path), "--markdown").stdout.count("<details") == 5
        assert platform.run("apply", str(path), "-y").returncode == 0
        gate.touch()

        flows.write_text(
            flows.read_text().replace("x: int = 1, file", "v: int = 1, file").replace("x=double(x=x)", "x=double(x=v)")
        )
        path.write_text(path.read_text().replace('{"x": 5}', '{"v": 5}'))
        code, messages = plan(platform, path)
        assert code == 1
        breaks = "breaks node n0 of workflow theirs.outer in flytesnacks/development: gives the input x, which is gone"
        assert breaks in messages["flows.total"]
        denied = platform.run("apply", str(path), "-y", "--allow-breaking", "--policy", str(tmp_path / "rules.py"))
        assert denied.returncode == 1
        assert "the schedule of nightly runs it" in denied.stdout
        assert platform.run("apply", str(path), "-y", "--allow-breaking").returncode == 0
        assert plan(platform, path)[0] == 0
        ended = "/api/v1/executions/flytesnacks/development/slow"
        wait_until(
            lambda: json.loads(platform.get(ended))["closure"]["phase"] == "SUCCEEDED",
            seconds=60,
            what="the execution that was in flight ends on the version that it began with",
        )
