"""Connectors served by the stock `pyflyte serve connector`, as plugins of the data plane."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import grpc
import pytest
from flyteidl.admin.execution_pb2 import (
    ExecutionCreateRequest,
    ExecutionSpec,
    ExecutionTerminateRequest,
    WorkflowExecutionGetDataRequest,
    WorkflowExecutionGetRequest,
)
from flyteidl.admin.task_execution_pb2 import TaskExecutionListRequest
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import (
    Identifier,
    NodeExecutionIdentifier,
    ResourceType,
    WorkflowExecutionIdentifier,
)
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from support import stock
from support.platform import alive, clean_environment, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flyteidl.admin.execution_pb2 import ExecutionClosure
    from flyteidl.admin.task_execution_pb2 import TaskExecution

    from support.platform import Platform

VERSION = "connectors"


class Service:
    """A process of `pyflyte serve connector`, always at the same port."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.jobs = folder / "jobs"
        self.jobs.mkdir()
        self.log = folder / "connector.log"
        self._home = folder
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            self.port = held.getsockname()[1]
        self._command = [str(programs / "pyflyte"), "serve", "connector", "--modules", "job_connectors"]

    def start(self) -> None:
        """Start it; it need not answer yet."""
        environment = {**clean_environment(self._home), "JOBS_FOLDER": str(self.jobs)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, f"--port={self.port}", "--prometheus_port=0"],
                cwd=stock.WORKFLOWS, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(timeout=10)


@pytest.fixture(scope="module")
def service(flytekit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Give a running service of two connectors."""
    started = Service(tmp_path_factory.mktemp("service"), flytekit)
    started.start()
    yield started
    started.kill()


@pytest.fixture(scope="module")
def jobs_platform(service: Service, flytekit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Give a platform that knows the service, with the workflow registered by the stock client."""
    connector = f"--connector=127.0.0.1:{service.port}?poll=0.2&patience=30"
    with running(tmp_path_factory.mktemp("connectors"), connector) as platform:
        registered = stock.call(
            flytekit / "pyflyte", "register", "-p", stock.PROJECT, "-d", stock.DOMAIN, "--version", VERSION,
            "job_connectors.py", home=platform.home, endpoint=platform.grpc,
        )  # fmt: skip
        assert registered.returncode == 0, registered.stdout + registered.stderr
        yield platform


class Client:
    """The calls that the tests need."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def admin(self) -> AdminServiceStub:
        """Return a stub for where the platform serves now."""
        return AdminServiceStub(grpc.insecure_channel(self._platform.grpc))

    def launch(self, name: str, n: int) -> None:
        """Start the workflow."""
        plan = Identifier(
            resource_type=ResourceType.LAUNCH_PLAN,
            project=stock.PROJECT, domain=stock.DOMAIN, name="job_connectors.doubled", version=VERSION,
        )  # fmt: skip
        inputs = LiteralMap(literals={"n": Literal(scalar=Scalar(primitive=Primitive(integer=n)))})
        request = ExecutionCreateRequest(
            project=stock.PROJECT, domain=stock.DOMAIN, name=name, spec=ExecutionSpec(launch_plan=plan), inputs=inputs
        )
        self.admin().CreateExecution(request, timeout=20)

    def ended(self, name: str) -> ExecutionClosure:
        """Wait for the end of an execution."""
        closures = []

        def over() -> bool:
            request = WorkflowExecutionGetRequest(id=identifier(name))
            closures[:] = [self.admin().GetExecution(request, timeout=20).closure]
            return closures[0].phase in (
                WorkflowExecution.SUCCEEDED,
                WorkflowExecution.FAILED,
                WorkflowExecution.ABORTED,
            )

        wait_until(over, seconds=90, what=f"{name} ends")
        return closures[0]

    def output(self, name: str) -> int:
        """Return the output of an execution."""
        data = self.admin().GetExecutionData(WorkflowExecutionGetDataRequest(id=identifier(name)), timeout=20)
        return int(data.full_outputs.literals["o0"].scalar.primitive.integer)

    def attempts(self, name: str, node: str) -> list[TaskExecution]:
        """Return the task executions of a node."""
        below = NodeExecutionIdentifier(node_id=node, execution_id=identifier(name))
        request = TaskExecutionListRequest(node_execution_id=below, limit=10)
        return list(self.admin().ListTaskExecutions(request, timeout=20).task_executions)


def identifier(name: str) -> WorkflowExecutionIdentifier:
    """Name an execution."""
    return WorkflowExecutionIdentifier(project=stock.PROJECT, domain=stock.DOMAIN, name=name)


@pytest.fixture
def client(jobs_platform: Platform) -> Client:
    """Give the calls."""
    return Client(jobs_platform)


def created(service: Service, name: str) -> Path:
    """Wait for the first job of an execution."""
    job = service.jobs / f"{name}-0"
    wait_until(job.exists, seconds=60, what=f"the job of {name} is created")
    return job


def test_a_job_outlives_platform_and_connector(client: Client, jobs_platform: Platform, service: Service) -> None:
    """Both are killed while a job runs; after their new start its outputs arrive, and it was created once."""
    client.launch("survives", 20)
    job = created(service, "survives")
    record = jobs_platform.state_dir / "objects" / "metadata" / "connectors"

    def known() -> bool:
        return any(json.loads(file.read_text())["created"] for file in record.rglob("*.json"))

    wait_until(known, seconds=60, what="the platform knows the job")

    killed = jobs_platform.kill_tree()
    service.kill()
    wait_until(lambda: not alive(killed), seconds=10, what="no process of the killed platform is left")
    service.start()
    jobs_platform.start()
    job.with_suffix(".released").touch()

    assert client.ended("survives").phase == WorkflowExecution.SUCCEEDED
    assert client.output("survives") == 41
    lines = [json.loads(line) for line in job.read_text().splitlines()]
    assert lines == [{"n": 20, "custom": {"where": "elsewhere"}}]
    links = {log.name: log.uri for log in client.attempts("survives", "n0")[0].closure.logs}
    assert links["Job"] == "https://jobs.example.com/survives-0"
    assert "goes on" in (jobs_platform.state_dir / links["Logs"].removeprefix("file://")).read_text()
    assert not list(record.rglob("*.json"))


def test_failures_are_final_unless_the_connector_says_otherwise(client: Client) -> None:
    """FAILED ends the execution with the job's message; an exception of a synchronous connector is told too."""
    client.launch("fails", -1)
    closure = client.ended("fails")
    assert closure.phase == WorkflowExecution.FAILED
    assert "-1 is below zero" in closure.error.message
    assert closure.error.code == "TaskFailedWithError"


def test_an_aborted_execution_deletes_its_job(client: Client, service: Service) -> None:
    """The connector is told to delete the job, and the execution is ABORTED."""
    client.launch("aborted", 5)
    job = created(service, "aborted")
    client.admin().TerminateExecution(ExecutionTerminateRequest(id=identifier("aborted"), cause="enough"), timeout=20)
    assert client.ended("aborted").phase == WorkflowExecution.ABORTED
    assert job.with_suffix(".deleted").exists()


def test_a_synchronous_connector_that_raises_fails_the_task(client: Client, service: Service) -> None:
    """What its code raised is the task's error."""
    client.launch("raises", 60)
    created(service, "raises").with_suffix(".released").touch()
    closure = client.ended("raises")
    assert closure.phase == WorkflowExecution.FAILED
    assert "120 is too much" in closure.error.message


def test_a_connector_that_is_away_is_waited_for(client: Client, service: Service) -> None:
    """An execution that begins while no connector answers runs when one does."""
    service.kill()
    client.launch("patient", 1)
    node = os.fspath(service.jobs / "patient-0")
    service.start()
    created(service, "patient").with_suffix(".released").touch()
    assert client.ended("patient").phase == WorkflowExecution.SUCCEEDED, node
    assert client.output("patient") == 3
