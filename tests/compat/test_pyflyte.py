"""Stock pyflyte 1.16.31: its commands that talk to the platform, by their outcome there."""

from __future__ import annotations

import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from flyteidl.admin.launch_plan_pb2 import LaunchPlan, LaunchPlanCreateRequest
from flyteidl.admin.task_pb2 import TaskCreateRequest, TaskSpec
from flyteidl.admin.workflow_pb2 import WorkflowCreateRequest, WorkflowSpec
from flyteidl.core.identifier_pb2 import Identifier, ResourceType
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from support import stock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from google.protobuf.message import Message

    from support.platform import Platform

SCOPE = ("-p", stock.PROJECT, "-d", stock.DOMAIN)
REMOTE = ("run", "--remote", *SCOPE)


def commands(scratch: Path) -> dict[str, tuple[str, ...]]:
    """Return the commands in their order; the later use what the earlier made."""
    inputs = scratch / "inputs.json"
    inputs.write_text(json.dumps({"name": "Ada"}))
    waiting = ("--wait", "--poll-interval", "1")
    options = (
        "--name", "command", "--labels", "team=forecast", "--annotations", "why=command", "--envvars", "GREETING=hey",
        "--raw-output-data-prefix", str(scratch / "raw"), "--max-parallelism", "2", "--overwrite-cache",
        "--tags", "first", "--tags", "second", "--interruptible", "true", "--service-account", "runner",
    )  # fmt: skip
    window = ("--from-date", "2026-01-01", "--to-date", "2026-01-03")
    data = f"flyte://v1/{stock.PROJECT}/{stock.DOMAIN}/command"
    return {
        "package": ("--pkgs", "plain", "package", "--source", ".", "-f", "-o", str(scratch / "package.tgz")),
        "register": ("register", *SCOPE, "--version", "cli", "plain.py"),
        "run": (*REMOTE, *waiting, *options, "plain.py", "greeting", "--inputs-file", str(inputs)),
        "fail": (*REMOTE, *waiting, "--name", "refused", "plain.py", "read", "--path", "/no/such/file"),
        "remote-task": (*REMOTE, "remote-task", "plain.greeting", "--name", "Bob"),
        "remote-launchplan": (*REMOTE, "remote-launchplan", "plain.long", "--seconds", "0"),
        "remote-workflow": (*REMOTE, "remote-workflow", "plain.long", "--seconds", "0"),
        "fetch": ("fetch", "--recursive", f"{data}/plaingreeting/o", str(scratch / "fetched")),
        "activate": ("launchplan", *SCOPE, "--activate", "every_day", "cli"),
        "active": ("get", "launchplan", *SCOPE, "--active-only"),
        "deactivate": ("launchplan", *SCOPE, "--deactivate", "every_day", "cli"),
        "plans": ("get", "launchplan", *SCOPE, "every_day"),
        "plan": ("get", "launchplan", *SCOPE, "every_day", "cli"),
        "relaunch": ("execution", *SCOPE, "--execution-id", "command", "relaunch"),
        "recover": ("execution", *SCOPE, "--execution-id", "refused", "recover"),
        "dump": ("metrics", "dump", "command"),
        "explain": ("metrics", "explain", "command"),
        "backfill": ("backfill", *SCOPE, *window, "-v", "filled", "--do-not-execute", "every_day", "cli"),
        "backfill-run": ("backfill", *SCOPE, *window, "-n", "filling", "--parallel", "every_day", "cli"),
    }  # fmt: skip


def run_commands(platform: Platform, scratch: Path) -> dict[str, str]:
    """Run all commands; return what each printed. Only the one that waits for a failure may fail."""
    asked = commands(scratch)
    ran: Any = stock.seen(
        "pyflyte_commands.py", json.dumps(list(asked.values())), home=platform.home, endpoint=platform.grpc
    )  # fmt: skip
    results = dict(zip(asked, ran, strict=True))
    failed = {name: result["text"] for name, result in results.items() if result["code"] and name != "fail"}
    assert not failed, "\n".join(f"{name}: {text}" for name, text in failed.items())
    return {name: result["text"] for name, result in results.items()}


def get(platform: Platform, path: str) -> Any:
    """Return the JSON at this path of the REST interface."""
    return json.loads(platform.get(f"/api/v1/{path}"))


def test_every_command_that_talks_to_the_platform(platform: Platform, tmp_path: Path) -> None:
    """What the commands did is there, and a package registers: all in one test, so that they run once."""
    printed = run_commands(platform, tmp_path)
    _did(printed, platform, tmp_path)
    assert "Successfully packaged" in printed["package"]
    _registers_like_flytectl((tmp_path / "package.tgz").read_bytes(), platform.grpc)


def _did(printed: Mapping[str, str], platform: Platform, scratch: Path) -> None:
    """Check the outcome of every command."""
    scope = f"{stock.PROJECT}/{stock.DOMAIN}"
    assert "Successfully registered" in printed["register"]
    execution = get(platform, f"executions/{scope}/command")
    spec = execution["spec"]
    assert execution["closure"]["phase"] == "SUCCEEDED"
    assert spec["labels"]["values"] == {"team": "forecast"}
    assert spec["annotations"]["values"] == {"why": "command"}
    assert spec["envs"]["values"] == [{"key": "GREETING", "value": "hey"}]
    assert [spec["max_parallelism"], spec["overwrite_cache"], spec["interruptible"]] == [2, True, True]
    assert sorted(spec["tags"]) == ["first", "second"]
    assert spec["raw_output_data_config"]["output_location_prefix"] == str(scratch / "raw")
    assert spec["security_context"]["run_as"]["k8s_service_account"] == "runner"
    outputs = get(platform, f"data/executions/{scope}/command")["full_outputs"]["literals"]
    assert outputs["o0"]["scalar"]["primitive"]["string_value"] == "hey Ada"
    assert "FileNotFoundError" in printed["fail"]
    assert "hey Ada" in printed["fetch"]
    assert "ACTIVE" in printed["activate"]
    assert "every_day" in printed["active"]
    assert "INACTIVE" in printed["deactivate"]
    assert "0 3 * * *" in printed["plans"]
    assert '"every_day"' in printed["plan"]
    for name, mode in (("relaunch", "RELAUNCH"), ("recover", "RECOVERED")):
        made = printed[name].split("Launched execution: ")[1].split()[0].rpartition(":")[2].strip("'\"")
        assert get(platform, f"executions/{scope}/{made}")["spec"]["metadata"]["mode"] == mode
    assert "NODE_SETUP" in printed["dump"]
    assert "TASK_RUNTIME" in printed["explain"]
    assert get(platform, f"workflows/{scope}/backfill-every_day/filled")["id"]["version"] == "filled"
    assert get(platform, f"executions/{scope}/filling")["id"]["name"] == "filling"


def _registers_like_flytectl(archive: bytes, endpoint: str) -> None:
    """Register what `pyflyte package` wrote file by file; again, every file is ALREADY_EXISTS."""
    with grpc.insecure_channel(endpoint) as channel:
        stub = AdminServiceStub(channel)
        requests = list(packaged(archive))
        assert len(requests) > 10
        for method, request in requests:
            getattr(stub, method)(request)
        for method, request in requests:
            with pytest.raises(grpc.RpcError) as caught:
                getattr(stub, method)(request)
            assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS  # type: ignore[attr-defined]


def packaged(archive: bytes) -> Iterator[tuple[str, Message]]:
    """Give the requests that register a package's files in their order, named for a project, a domain, a version."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in sorted(files.getmembers(), key=lambda each: each.name):
            file = files.extractfile(member)
            if file is None or not member.name.endswith(".pb"):
                continue
            content = file.read()
            match member.name.removesuffix(".pb")[-1]:
                case "1":
                    task = TaskSpec.FromString(content)
                    _name(task.template.id, ResourceType.TASK)
                    yield "CreateTask", TaskCreateRequest(id=task.template.id, spec=task)
                case "2":
                    workflow = WorkflowSpec.FromString(content)
                    _name(workflow.template.id, ResourceType.WORKFLOW)
                    for node in workflow.template.nodes:
                        inner = node.array_node.node if node.HasField("array_node") else node
                        if inner.HasField("task_node"):
                            _name(inner.task_node.reference_id, ResourceType.TASK)
                    yield "CreateWorkflow", WorkflowCreateRequest(id=workflow.template.id, spec=workflow)
                case _:
                    plan = LaunchPlan.FromString(content)
                    _name(plan.id, ResourceType.LAUNCH_PLAN)
                    _name(plan.spec.workflow_id, ResourceType.WORKFLOW)
                    yield "CreateLaunchPlan", LaunchPlanCreateRequest(id=plan.id, spec=plan.spec)


def _name(identifier: Identifier, kind: ResourceType.ValueType) -> None:
    """Replace what `pyflyte package` leaves open, as `flytectl register files` does."""
    identifier.resource_type = kind
    identifier.project, identifier.domain, identifier.version = stock.PROJECT, stock.DOMAIN, "packaged"
