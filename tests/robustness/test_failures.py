"""What the platform rests on fails, and comes back: refusals say so clearly, and nothing has to be restarted."""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import re
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from flyteidl.admin.common_pb2 import ObjectGetRequest
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionSpec, WorkflowExecutionGetDataRequest
from flyteidl.admin.launch_plan_pb2 import LaunchPlanCreateRequest, LaunchPlanSpec
from flyteidl.admin.project_pb2 import Project, ProjectGetRequest, ProjectRegisterRequest
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.admin.workflow_pb2 import WorkflowCreateRequest
from flyteidl.core.identifier_pb2 import ResourceType, WorkflowExecutionIdentifier
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from flyteidl.service.dataproxy_pb2 import CreateUploadLocationRequest
from flyteidl.service.dataproxy_pb2_grpc import DataProxyServiceStub

from flyteform.objects import batches, files
from flyteform.proto.flyteform.v1 import link_pb2
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from flyteform_controlplane.store.kept_objects import KEPT_BYTES
from robustness.conftest import Server, serving
from support.admin import DOMAIN, PROJECT, identifier, integers, task_spec, workflow_spec
from support.disk import SmallDisk, small_disk
from support.postgres import running_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECONDS = 30
LARGE = 3 * 1024 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Give a small file system."""
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def refused(ask: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """Return how a call is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        ask()
    return caught.value.code(), caught.value.details()  # type: ignore[attr-defined] # of every error of a call


def register_project(server: Server, name: str) -> None:
    """Write to the database."""
    AdminServiceStub(server.channel).RegisterProject(
        ProjectRegisterRequest(project=Project(id=name, name=name, description="x" * 300)), timeout=SECONDS
    )


def register_workflow(server: Server, version: str = "v1") -> None:
    """Write to the database, and to the object store a closure that is too large for the database."""
    admin = AdminServiceStub(server.channel)
    task, workflow = identifier(ResourceType.TASK, "t", version), identifier(ResourceType.WORKFLOW, "w", version)
    admin.CreateTask(TaskCreateRequest(id=task, spec=task_spec("t", version)), timeout=SECONDS)
    spec = workflow_spec("w", version, task)
    spec.template.interface.inputs.variables["x"].description = "x" * KEPT_BYTES
    admin.CreateWorkflow(WorkflowCreateRequest(id=workflow, spec=spec), timeout=SECONDS)


def get_workflow(server: Server, version: str = "v1") -> object:
    """Read from both."""
    return AdminServiceStub(server.channel).GetWorkflow(
        ObjectGetRequest(id=identifier(ResourceType.WORKFLOW, "w", version)), timeout=SECONDS
    )


def upload(server: Server, content: bytes) -> int:
    """Put content to a signed URL and return the HTTP status."""
    request = CreateUploadLocationRequest(
        project=PROJECT, domain=DOMAIN, filename="f", content_md5=hashlib.md5(content, usedforsecurity=False).digest()
    )
    location = DataProxyServiceStub(server.channel).CreateUploadLocation(request, timeout=SECONDS)
    put = urllib.request.Request(location.signed_url, content, dict(location.headers), method="PUT")  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(put, timeout=SECONDS) as response:  # noqa: S310 - as above
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_full_disk(disk: SmallDisk) -> None:
    """On a full disk writes are UNAVAILABLE and leave nothing behind, reads go on, and space is all that is needed."""
    with serving(disk.directory / "state") as server:
        register_workflow(server)
        disk.fill()
        before = server.rows()
        outcomes = {refused(lambda number=number: register_project(server, f"p{number}"))[0] for number in range(3)}
        assert outcomes == {grpc.StatusCode.UNAVAILABLE}
        assert refused(lambda: register_workflow(server, "v2"))[0] is grpc.StatusCode.UNAVAILABLE
        assert upload(server, b"x" * LARGE) == 503
        assert server.rows() == before
        assert get_workflow(server)
        disk.free()
        register_project(server, "p0")
        register_workflow(server, "v2")
        assert upload(server, b"x" * LARGE) == 200
        assert not list((disk.directory / "state").rglob(files.TEMPORARY_PREFIX + "*"))


def test_a_read_only_object_store(tmp_path: Path, disk: SmallDisk) -> None:
    """Where objects can be read and not written, what needs writing is UNAVAILABLE with the reason, until it can."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "objects").symlink_to(disk.directory)
    with serving(state) as server:
        register_workflow(server)
        disk.writable(allowed=False)
        code, text = refused(lambda: register_workflow(server, "v2"))
        assert (code, os.strerror(errno.EROFS) in text) == (grpc.StatusCode.UNAVAILABLE, True), text
        assert upload(server, b"content") == 503
        assert get_workflow(server)
        disk.writable(allowed=True)
        register_workflow(server, "v3")
        assert upload(server, b"content") == 200


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EDQUOT])
def test_objects_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Whatever the file system says, a write to it is UNAVAILABLE with that reason, until it works again."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with serving(tmp_path) as server:
        with monkeypatch.context() as broken:
            broken.setattr(files.StagedFile, "write", fail)
            broken.setattr(batches, "_finish", fail)
            code, text = refused(lambda: register_workflow(server))
            assert (code, os.strerror(number) in text) == (grpc.StatusCode.UNAVAILABLE, True), text
            assert upload(server, b"content") == 503
        register_workflow(server, "v2")
        assert upload(server, b"content") == 200


@pytest.mark.parametrize(("damage", "said"), [("missing", "gone"), ("garbage", "damaged"), ("cut", "damaged")])
def test_objects_that_are_not_as_they_were_written(tmp_path: Path, damage: str, said: str) -> None:
    """A workflow whose closure is gone or damaged is NOT_FOUND, with the object's name; put back, all is well."""
    with serving(tmp_path) as server:
        register_workflow(server)
        [closure] = [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
        content = closure.read_bytes()
        match damage:
            case "missing":
                closure.unlink()
            case "garbage":
                closure.write_bytes(b"\xff" * 100)
            case _:
                closure.write_bytes(content[:-3])
        code, text = refused(lambda: get_workflow(server))
        assert code is grpc.StatusCode.NOT_FOUND
        assert re.search(rf"{closure.name}.*{said}", text), text
        closure.write_bytes(content)
        assert get_workflow(server)


def test_damaged_inputs_of_an_execution(tmp_path: Path) -> None:
    """An execution whose inputs are damaged says so where they are asked for, and is listed all the same."""
    with serving(tmp_path) as server:
        register_workflow(server)
        admin = AdminServiceStub(server.channel)
        workflow, plan = identifier(ResourceType.WORKFLOW, "w"), identifier(ResourceType.LAUNCH_PLAN, "lp")
        admin.CreateLaunchPlan(LaunchPlanCreateRequest(id=plan, spec=LaunchPlanSpec(workflow_id=workflow)))
        spec = ExecutionSpec(launch_plan=plan)
        admin.CreateExecution(
            ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name="e", spec=spec, inputs=integers(x=1))
        )
        with closing(sqlite3.connect(tmp_path / "control.db")) as database, database:
            inputs = database.execute("UPDATE kept_objects SET data = x'ffff'").rowcount
        name = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="e")
        code, text = refused(lambda: admin.GetExecutionData(WorkflowExecutionGetDataRequest(id=name)))
        assert inputs
        assert (code, "damaged" in text) == (grpc.StatusCode.NOT_FOUND, True), text


def connect_data_plane(server: Server) -> tuple[queue.SimpleQueue[link_pb2.FromDataPlane | None], Iterator[Any]]:
    """Connect a data plane; return what it sends (None ends it) and what it is sent."""
    sent: queue.SimpleQueue[link_pb2.FromDataPlane | None] = queue.SimpleQueue()
    sent.put(link_pb2.FromDataPlane(register=link_pb2.Register(cluster="here")))
    received = DataPlaneLinkStub(server.channel).Connect(iter(sent.get, None), timeout=2 * SECONDS)
    assert next(received).WhichOneof("message") == "registered"
    return sent, received


def create_execution(server: Server, name: str) -> None:
    """Launch the workflow."""
    AdminServiceStub(server.channel).CreateExecution(
        ExecutionCreateRequest(
            project=PROJECT,
            domain=DOMAIN,
            name=name,
            spec=ExecutionSpec(launch_plan=identifier(ResourceType.LAUNCH_PLAN, "lp")),
            inputs=integers(x=1),
        ),
        timeout=SECONDS,
    )


def test_a_lost_database(tmp_path: Path) -> None:
    """While PostgreSQL is down calls are UNAVAILABLE; once it is back they work, and executions are dispatched."""
    with running_postgres() as postgres, serving(tmp_path, postgres.create_database()) as server:
        admin = AdminServiceStub(server.channel)
        register_workflow(server)
        plan = LaunchPlanSpec(workflow_id=identifier(ResourceType.WORKFLOW, "w"))
        admin.CreateLaunchPlan(LaunchPlanCreateRequest(id=identifier(ResourceType.LAUNCH_PLAN, "lp"), spec=plan))
        sent, received = connect_data_plane(server)
        postgres.stop(immediately=True)
        assert refused(lambda: admin.GetProject(ProjectGetRequest(id=PROJECT), timeout=SECONDS))[0] is (
            grpc.StatusCode.UNAVAILABLE
        )
        assert refused(lambda: create_execution(server, "during"))[0] is grpc.StatusCode.UNAVAILABLE
        postgres.start()
        assert admin.GetProject(ProjectGetRequest(id=PROJECT), timeout=SECONDS).id == PROJECT
        create_execution(server, "after")
        lease = next(message.lease for message in received if message.WhichOneof("message") == "lease")
        assert lease.id.name == "after"
        sent.put(None)
