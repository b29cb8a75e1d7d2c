"""Results that several executions want at once, on the embedded platform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from flyteidl.admin.execution_pb2 import ExecutionTerminateRequest
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from support.platform import running, wait_until

if TYPE_CHECKING:
    from support.platform import Platform

WORKFLOW = Path(__file__).parent / "workflows" / "expensive.py"
SCOPE = "flytesnacks/development"


def launch(platform: Platform, name: str, folder: Path) -> None:
    """Start an execution."""
    inputs = ("--folder", str(folder), "--who", name)
    ran = platform.run("run", "--remote", "--no-wait", "--name", name, str(WORKFLOW), "expensive", *inputs)
    assert ran.returncode == 0, ran.stderr


def get(platform: Platform, path: str) -> Any:
    """Ask REST."""
    return json.loads(platform.get(f"/api/v1/{path}"))


def ended(platform: Platform, name: str, expected: str) -> None:
    """Wait until an execution is in a phase."""
    wait_until(
        lambda: get(platform, f"executions/{SCOPE}/{name}")["closure"]["phase"] == expected,
        seconds=60, what=f"{name} is {expected}",
    )  # fmt: skip


def abort(platform: Platform, name: str) -> None:
    """End an execution."""
    identifier = WorkflowExecutionIdentifier(project="flytesnacks", domain="development", name=name)
    with grpc.insecure_channel(platform.grpc) as channel:
        request = ExecutionTerminateRequest(id=identifier, cause="enough")
        AdminServiceStub(channel).TerminateExecution(request, timeout=20)


def cache_status(platform: Platform, name: str) -> str:
    """Return what became of the cache for the one task."""
    nodes = get(platform, f"node_executions/{SCOPE}/{name}?limit=10")["node_executions"]
    (node,) = [node for node in nodes if node["id"]["node_id"] == "n0"]
    return str(node["closure"]["task_node_metadata"]["cache_status"])


def test_one_execution_computes_for_all(tmp_path: Path) -> None:
    """Three want one result: the first computes and is aborted, the second takes over, the third gets its result."""
    folder = tmp_path / "shared"
    folder.mkdir()
    computed = folder / "computed"
    with running(tmp_path) as platform:
        launch(platform, "first", folder)
        wait_until(computed.exists, seconds=60, what="the first computes")
        launch(platform, "second", folder)
        launch(platform, "third", folder)
        abort(platform, "first")
        ended(platform, "first", "ABORTED")
        wait_until(lambda: len(computed.read_text().split()) == 2, seconds=60, what="another takes over")
        (folder / "go").touch()
        ended(platform, "second", "SUCCEEDED")
        ended(platform, "third", "SUCCEEDED")
        assert len(computed.read_text().split()) == 2
        statuses = {cache_status(platform, "second"), cache_status(platform, "third")}
        assert statuses == {"CACHE_POPULATED", "CACHE_HIT"}
