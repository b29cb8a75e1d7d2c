"""Conditionals, dynamic tasks, gates and failure nodes of this SDK on a real platform, with aborts in each."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from flyteidl.admin.execution_pb2 import ExecutionTerminateRequest, WorkflowExecutionGetRequest
from flyteidl.admin.signal_pb2 import SignalSetRequest
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import SignalIdentifier, WorkflowExecutionIdentifier
from flyteidl.core.literals_pb2 import Literal, Primitive, Scalar
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from flyteidl.service.signal_pb2_grpc import SignalServiceStub

from support.platform import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.platform import Platform

WORKFLOW = Path(__file__).parent / "workflows" / "kinds.py"
SCOPE = "flytesnacks/development"
PATIENCE = 90.0


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give a platform of its own to the tests of this module."""
    with running(tmp_path_factory.mktemp("kinds")) as started:
        yield started


def run(platform: Platform, name: str, workflow: str, *inputs: str, wait: bool = True) -> str:
    """Run a workflow there, and return its outputs."""
    waiting = () if wait else ("--no-wait",)
    done = platform.run("run", "--remote", "--name", name, *waiting, str(WORKFLOW), workflow, *inputs)
    assert done.returncode == 0, done.stderr
    return done.stdout


def nodes(platform: Platform, execution: str, parent: str = "") -> dict[str, str]:
    """Return the phases of the nodes below one, by their ids."""
    answer = json.loads(
        platform.get(f"/api/v1/node_executions/{SCOPE}/{execution}?limit=999&unique_parent_id={parent}")
    )
    return {node["id"]["node_id"]: node["closure"]["phase"] for node in answer["node_executions"]}


def phase(platform: Platform, name: str) -> str:
    """Return where an execution stands."""
    with grpc.insecure_channel(platform.grpc) as channel:
        request = WorkflowExecutionGetRequest(id=identifier(name))
        return WorkflowExecution.Phase.Name(AdminServiceStub(channel).GetExecution(request, timeout=30).closure.phase)


def identifier(name: str) -> WorkflowExecutionIdentifier:
    """Name an execution."""
    return WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name=name)


def until(platform: Platform, name: str, *phases: str) -> str:
    """Wait until an execution is in one of these phases."""
    deadline = time.monotonic() + PATIENCE
    while (now := phase(platform, name)) not in phases:
        assert time.monotonic() < deadline, f"{name} is {now}"
        time.sleep(0.1)
    return now


def answer(platform: Platform, execution: str, signal: str, value: Primitive) -> None:
    """Give a gate its value, as soon as it is known that there is such a gate."""
    request = SignalSetRequest(
        id=SignalIdentifier(signal_id=signal, execution_id=identifier(execution)),
        value=Literal(scalar=Scalar(primitive=value)),
    )
    deadline = time.monotonic() + PATIENCE
    with grpc.insecure_channel(platform.grpc) as channel:
        while True:
            try:
                SignalServiceStub(channel).SetSignal(request, timeout=30)
            except grpc.RpcError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return


def abort(platform: Platform, execution: str) -> None:
    """End an execution."""
    with grpc.insecure_channel(platform.grpc) as channel:
        request = ExecutionTerminateRequest(id=identifier(execution), cause="enough")
        AdminServiceStub(channel).TerminateExecution(request, timeout=30)


@pytest.mark.parametrize(("x", "expected"), [(60, 61), (0, 102), (2, 6), (9, 12)])
def test_a_conditional_chooses_as_in_this_process(platform: Platform, x: int, expected: int) -> None:
    """The same cases are taken here and there; what is not taken is skipped."""
    here = platform.run("run", str(WORKFLOW), "choosing", "--x", str(x))
    assert f"o0: {expected}" in here.stdout
    assert f"o0: {expected}" in run(platform, f"choose{x}", "choosing", "--x", str(x))


def test_no_case_is_a_failure_with_its_message(platform: Platform) -> None:
    """The message of fail() is the execution's."""
    done = platform.run("run", "--remote", str(WORKFLOW), "choosing", "--x", "-1")
    assert done.returncode == 1
    assert "negative" in done.stderr


def test_dynamic_tasks(platform: Platform) -> None:
    """One makes tasks, maps, workflows and choices; one makes itself; one is tried again with what it made."""
    expected = ["o0: 1022", "o1: 1", "o2: 2"]
    assert platform.run("run", str(WORKFLOW), "dynamic_flow", "--n", "4").returncode == 1  # attempts are the platform's
    assert sorted(run(platform, "dynamic", "dynamic_flow", "--n", "4").splitlines()) == expected
    assert nodes(platform, "dynamic", "n2")["n2-0-dn0"] == "FAILED"
    assert nodes(platform, "dynamic", "n2")["n2-1-dn0"] == "SUCCEEDED"


def test_a_dynamic_task_may_make_hundreds_of_nodes(platform: Platform) -> None:
    """Each is a node of its own, and its result counts."""
    assert "o0: 300" in run(platform, "many", "many", "--n", "300")


def test_gates(platform: Platform) -> None:
    """A value that is given before the gate is reached counts; a second approval changes nothing."""
    run(platform, "gated", "gated", "--x", "1", wait=False)
    answer(platform, "gated", "given", Primitive(integer=5))
    answer(platform, "gated", "agreed", Primitive(boolean=True))
    answer(platform, "gated", "agreed", Primitive(boolean=True))
    assert until(platform, "gated", "SUCCEEDED", "FAILED") == "SUCCEEDED"


def test_a_rejection(platform: Platform) -> None:
    """The execution fails with Flyte's code."""
    run(platform, "rejected", "gated", "--x", "1", wait=False)
    answer(platform, "rejected", "agreed", Primitive(boolean=False))
    assert until(platform, "rejected", "SUCCEEDED", "FAILED") == "FAILED"
    assert b"ReceivedRejectSignal" in platform.get(f"/api/v1/executions/{SCOPE}/rejected")


def test_a_failure_is_cleaned_up_after(platform: Platform) -> None:
    """The failure node runs with the inputs and the error, and the execution has failed all the same."""
    done = platform.run("run", "--remote", "--name", "failing", str(WORKFLOW), "failing", "--x", "3")
    assert done.returncode == 1
    assert "no 3" in done.stderr
    assert nodes(platform, "failing")["fn0"] == "SUCCEEDED"


@pytest.mark.parametrize(("name", "workflow", "x"), [
    ("abort-gate", "gated", "1"), ("abort-dynamic", "waiting", "1"), ("abort-endless", "waiting", "0"),
])  # fmt: skip
def test_an_abort_ends_all(platform: Platform, name: str, workflow: str, x: str) -> None:
    """Whatever waits, runs or makes more of itself is over."""
    run(platform, name, workflow, "--x", x, wait=False)
    deadline = time.monotonic() + PATIENCE
    while len(nodes(platform, name)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    abort(platform, name)
    assert until(platform, name, "ABORTED", "FAILED", "SUCCEEDED") == "ABORTED"
