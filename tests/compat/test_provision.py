"""Stock flytekit's own entities, declared as resources: planned, applied and run where flytekit is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flyteform
from support.platform import clean_environment

if TYPE_CHECKING:
    from support.platform import Platform

WORKFLOWS = Path(__file__).parent / "workflows" / "provisioned.py"
SDK = Path(flyteform.__file__).parents[1]
DECLARATION = """
import provisioned
from flyteform import CronSchedule
from flyteform.provision import Concurrency, Email, LaunchPlan, Workflow

Workflow(provisioned.main, description="Everything that flytekit has")
Workflow(provisioned.written)
LaunchPlan(provisioned.nightly, notifications=[Email("me@example.org")], concurrency=Concurrency(1))
LaunchPlan(provisioned.main, name="hourly", fixed_inputs={"n": 1}, schedule=CronSchedule(schedule="@hourly"))
"""
RUN = """
import sys
from flytekit.configuration import Config, PlatformConfig
from flytekit.remote import FlyteRemote

platform = PlatformConfig(endpoint=sys.argv[1], insecure=True)
remote = FlyteRemote(Config(platform=platform), default_project="flytesnacks", default_domain="development")
for name in sys.argv[2:]:
    execution = remote.execute(remote.fetch_launch_plan(name=name), inputs={"n": 3}, wait=True)
    print(name, execution.closure.phase, execution.outputs["o0"])
"""


def flyteform_of(flytekit: Path, platform: Platform, *arguments: str, seed: str = "1") -> tuple[int, str, str]:
    """Run our command in the stock client's environment, as `pip install flyteform` there would let a user do."""
    environment = {
        **clean_environment(platform.home),
        "PYTHONPATH": str(SDK),
        "PYTHONHASHSEED": seed,
        "FLYTEFORM_ENDPOINT": platform.grpc,
    }
    done = subprocess.run(
        [flytekit / "python", "-m", "flyteform.cli.main", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def declaration(tmp_path: Path) -> Path:
    """Give a declaration beside a module that only knows flytekit."""
    shutil.copy(WORKFLOWS, tmp_path)
    path = tmp_path / "declared.py"
    path.write_text(DECLARATION)
    return path


def test_flytekit_entities_are_provisioned_and_run(flytekit: Path, platform: Platform, declaration: Path) -> None:
    """Applied once they run as flytekit means them; the next plan is empty, from any process and directory."""
    code, out, err = flyteform_of(flytekit, platform, "apply", "-y", str(declaration))
    assert (code, err) == (0, ""), out
    elsewhere = declaration.parent / "elsewhere"
    elsewhere.mkdir()
    for file in (declaration, declaration.with_name("provisioned.py")):
        shutil.copy(file, elsewhere)
    for seed, path in (("1", declaration), ("2", elsewhere / declaration.name)):
        code, out, err = flyteform_of(flytekit, platform, "plan", str(path), seed=seed)
        assert (code, err) == (0, ""), out
    done = subprocess.run(
        [flytekit / "python", "-c", RUN, platform.grpc, "provisioned.main", "provisioned.written"],
        env={**os.environ, **clean_environment(platform.home)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.stdout == "provisioned.main 4 60\nprovisioned.written 4 6\n", done.stderr


def test_an_edit_of_a_flytekit_task_is_a_new_version(flytekit: Path, platform: Platform, declaration: Path) -> None:
    """A change of a task's code makes new versions of it and of what calls it, and says so before anything changes."""
    assert flyteform_of(flytekit, platform, "apply", "-y", str(declaration))[0] == 0
    module = declaration.with_name("provisioned.py")
    module.write_text(module.read_text().replace("return 2 * n", "return 3 * n"))
    code, out, err = flyteform_of(flytekit, platform, "plan", str(declaration), "--json")
    assert (code, err) == (2, "")
    changes = {(each["kind"], each["name"]): each for each in json.loads(out)["changes"]}
    assert changes["task", "provisioned.double"]["action"] == "new-version"
    assert changes["task", "provisioned.double"]["reason"] == "its code changed"
    assert changes["workflow", "provisioned.main"]["action"] == "new-version"


def test_a_module_of_flytekit_alone_is_a_declaration(flytekit: Path, platform: Platform, declaration: Path) -> None:
    """Nobody has to write a line for flyteform: a module stands for what it defines, but not for what it refers to."""
    module = declaration.with_name("provisioned.py")
    code, out, err = flyteform_of(flytekit, platform, "plan", str(module), "--json", "--domain", "staging")
    assert (code, err) == (2, "")
    found = {(each["kind"], each["name"]) for each in json.loads(out)["changes"]}
    assert {("workflow", "provisioned.main"), ("workflow", "provisioned.written"), ("task", "provisioned.fan")} <= found
    assert {("workflow", "provisioned.refers"), ("launch_plan", "nightly")} <= found
    assert not [name for _, name in found if "elsewhere" in name]
