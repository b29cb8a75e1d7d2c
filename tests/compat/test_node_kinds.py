"""Stock flytekit workflows with every kind of node that the data plane runs, by `pyflyte run --remote`."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flyteidl.core.execution_pb2 import NodeExecution

from support.platform import Platform, clean_environment, running

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKFLOWS = Path(__file__).parent / "workflows"
PROJECT = ("-p", "flytesnacks", "-d", "development")
# What the stock client prints of an execution: its error, its outputs and its nodes.
LOOK = """
import json, sys
from flytekit.configuration import Config
from flytekit.remote import FlyteRemote
remote = FlyteRemote(Config.for_endpoint(sys.argv[1], insecure=True), "flytesnacks", "development")
execution = remote.fetch_execution(name=sys.argv[2])
remote.wait(execution, poll_interval=0.2, timeout=100)
execution = remote.sync(execution, sync_nodes=True)
error = execution.error and execution.error.message
literals = {} if error else {k: str(v.scalar.primitive.value) for k, v in execution.outputs.literals.items()}
nodes = {name: node.closure.phase for name, node in execution.node_executions.items()}
print(json.dumps({"error": error, "outputs": literals, "nodes": nodes}))
"""


RECOVER = """
import sys
from flytekit.configuration import Config
from flytekit.remote import FlyteRemote
from flyteidl.admin.execution_pb2 import ExecutionRecoverRequest
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
remote = FlyteRemote(Config.for_endpoint(sys.argv[1], insecure=True), "flytesnacks", "development")
former = WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name=sys.argv[2])
print(remote.client._stub.RecoverExecution(ExecutionRecoverRequest(id=former)).id.name)
"""
# Answers the gates as they are reached.
ANSWER = """
import sys, time
from flytekit.configuration import Config
from flytekit.remote import FlyteRemote
remote = FlyteRemote(Config.for_endpoint(sys.argv[1], insecure=True), "flytesnacks", "development")
def reached(name):
    deadline = time.monotonic() + 100
    while name not in {one.id.signal_id for one in remote.list_signals(sys.argv[2])}:
        assert time.monotonic() < deadline, f"nobody waits for {name}"
        time.sleep(0.1)
reached("given")
remote.set_signal("given", sys.argv[2], 7)
reached("agreed")
remote.approve("agreed", sys.argv[2])
"""


@pytest.fixture(scope="module")
def programs() -> Path:
    """Give the folder with the stock client's programs; `make compat` makes it and `make test` says where."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get("FLYTEFORM_FLYTEKIT") or cache / "flyteform" / "flytekit-1.16.31") / "bin"
    assert (folder / "pyflyte").exists(), f"no stock client in {folder}: run `make compat`"
    return folder


@pytest.fixture(scope="module")
def platform(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give a platform that runs flytekit's images with the stock client's interpreter."""
    with running(tmp_path_factory.mktemp("nodes"), f"--image=*flytekit*={programs / 'python'}") as started:
        yield started


def run(programs: Path, platform: Platform, workflow: str, *arguments: str, file: str = "nodes.py") -> dict[str, Any]:
    """Run a workflow to its end and return what the stock client sees of it."""
    started = call(platform, programs / "pyflyte", "run", "--remote", *PROJECT, file, workflow, *arguments)
    execution = re.search(r"/executions/([a-z][a-z0-9-]+)", started)
    assert execution is not None, started
    seen: dict[str, Any] = json.loads(
        call(platform, programs / "python", "-c", LOOK, platform.grpc, execution.group(1)).splitlines()[-1]
    )
    return seen | {"name": execution.group(1)}


def call(platform: Platform, program: Path, *arguments: str) -> str:
    """Call one of the stock client's programs and return what it prints."""
    environment = {
        **clean_environment(platform.home),
        "FLYTE_PLATFORM_URL": platform.grpc,
        "FLYTE_PLATFORM_INSECURE": "true",
    }
    done = subprocess.run(
        [str(program), *arguments],
        cwd=WORKFLOWS,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_sub_workflows_and_branches(programs: Path, platform: Platform) -> None:
    """A sub-workflow in a sub-workflow feeds a branch, which takes a sub-workflow; outputs come through all ends."""
    seen = run(programs, platform, "chosen", "--n", "4")
    assert (seen["error"], seen["outputs"]) == (None, {"o0": "128"})
    assert sorted(seen["nodes"]) == ["end-node", "n0", "n1", "start-node"]


def test_branch_takes_a_task(programs: Path, platform: Platform) -> None:
    """Another case of the same branch is a task."""
    assert run(programs, platform, "chosen", "--n", "1")["outputs"] == {"o0": "-8"}


def test_branch_fails_with_its_own_words(programs: Path, platform: Platform) -> None:
    """When no case holds the workflow ends with the message that it was given for that."""
    assert "out of range" in run(programs, platform, "chosen", "--n", "0")["error"]


def test_failure_node_of_the_stock_client(programs: Path, platform: Platform) -> None:
    """The `on_failure` task runs with the inputs and the error, or it would fail itself; the workflow has failed."""
    seen = run(programs, platform, "cleaned", "--n", "3")
    assert "no 3" in seen["error"]
    assert seen["nodes"]["fn0"] == NodeExecution.SUCCEEDED


def test_launch_plans_of_the_stock_client(programs: Path, platform: Platform) -> None:
    """Child executions run one after the other, and the client follows them down from the nodes that started them."""
    seen = run(programs, platform, "launched", "--n", "3")
    assert (seen["error"], seen["outputs"]) == (None, {"o0": "192"})


def test_the_error_of_a_child_is_its_parents(programs: Path, platform: Platform) -> None:
    """A child execution that fails ends its parent with its own error."""
    assert "no 3" in run(programs, platform, "launches_failure", "--n", "3")["error"]


def test_dynamic_tasks_of_the_stock_client(programs: Path, platform: Platform) -> None:
    """A dynamic task makes tasks, a child execution and another dynamic task, which makes a map."""
    seen = run(programs, platform, "dynamically", "--n", "1")
    assert (seen["error"], seen["outputs"]) == (None, {"o0": str(2 * (0 + 2 + 4 + 6 + 16 + 8 + 10))})


def test_a_failure_in_a_dynamic_task(programs: Path, platform: Platform) -> None:
    """What fails below a dynamic task fails it, with the error of the task that failed."""
    assert "no 5" in run(programs, platform, "dynamically_broken", "--n", "5")["error"]


def test_maps_over_launch_plans(programs: Path, platform: Platform) -> None:
    """A map over a launch plan is one child execution for each item."""
    seen = run(programs, platform, "mapped_plans", "--numbers", "[1, 2, 3]")
    assert (seen["error"], seen["outputs"]) == (None, {"o0": "24"})
    assert "refused an event" not in platform.log.read_text()


def test_gates_of_the_stock_client(programs: Path, platform: Platform) -> None:
    """FlyteRemote answers a gate that waits for input and approves another; a sleep passes by itself."""
    project = ("-p", "flytesnacks", "-d", "development")
    started = call(platform, programs / "pyflyte", "run", "--remote", *project, "nodes.py", "gated")
    execution = re.search(r"/executions/([a-z][a-z0-9-]+)", started)
    assert execution is not None, started
    call(platform, programs / "python", "-c", ANSWER, platform.grpc, execution.group(1))
    seen = json.loads(
        call(platform, programs / "python", "-c", LOOK, platform.grpc, execution.group(1)).splitlines()[-1]
    )
    assert (seen["error"], seen["outputs"]) == (None, {"o0": "28"})
    assert set(seen["nodes"].values()) == {NodeExecution.SUCCEEDED}


def test_recovery_of_the_stock_client(programs: Path, platform: Platform, tmp_path: Path) -> None:
    """A recovered execution takes over what succeeded; a child that failed is recovered by one of its own."""
    flag = tmp_path / "mended"
    failed = run(programs, platform, "recoverable", "--n", "1", "--flag", str(flag))
    assert "not mended yet" in failed["error"]
    flag.touch()
    recovered = call(platform, programs / "python", "-c", RECOVER, platform.grpc, failed["name"]).split()[-1]
    seen = json.loads(call(platform, programs / "python", "-c", LOOK, platform.grpc, recovered).splitlines()[-1])
    assert (seen["error"], seen["outputs"]) == (None, {"o0": str(1 * 2 * 20 * 20 * 20)})
    assert seen["nodes"]["n0"] == NodeExecution.RECOVERED
    listed = json.loads(platform.get("/api/v1/executions/flytesnacks/development?limit=99"))["executions"]
    metadata = [one["spec"]["metadata"] for one in listed]
    assert sorted(one.get("nesting", 0) for one in metadata if one.get("mode") == "RECOVERED") == [0, 1]


def test_a_reference(programs: Path, platform: Platform) -> None:
    """A launch plan that is known by its name alone, registered before by others, is launched as a child."""
    call(platform, programs / "pyflyte", "register", *PROJECT, "--version", "v1", "published.py")
    seen = run(programs, platform, "refers", "--n", "5", file="referring.py")
    assert (seen["error"], seen["outputs"]) == (None, {"o0": "15"})
    assert seen["nodes"]["n0"] == NodeExecution.SUCCEEDED
