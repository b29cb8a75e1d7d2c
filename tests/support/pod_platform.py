"""A control plane, operators and a webhook beside a real cluster, and what clients ask of them."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import yaml
from flyteidl.admin.execution_pb2 import (
    Execution,
    ExecutionCreateRequest,
    ExecutionMetadata,
    ExecutionSpec,
    ExecutionTerminateRequest,
    WorkflowExecutionGetRequest,
)
from flyteidl.admin.node_execution_pb2 import NodeExecution, NodeExecutionListRequest
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.identifier_pb2 import (
    Identifier,
    NodeExecutionIdentifier,
    ResourceType,
    WorkflowExecutionIdentifier,
)
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
from flyteidl.service.admin_pb2_grpc import AdminServiceStub

from flyteform.proto.flyteform.v1.logs_pb2 import TailLogsRequest
from flyteform.proto.flyteform.v1.logs_pb2_grpc import LogServiceStub
from flyteform_controlplane.server import ControlPlane
from flyteform_controlplane.settings import ControlPlaneSettings
from flyteform_dataplane.kubernetes.webhook.manifest import PATH, configuration
from flyteform_dataplane.kubernetes.workflows.definition import NAME, definition
from support.certificates import self_signed
from support.kubernetes import kubectl
from support.platform import clean_environment, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.s3 import S3Server

logger = logging.getLogger(__name__)

NODE = "10.88.0.1"  # where pods reach servers of the tests
PROJECT, DOMAIN = "flytesnacks", "development"
NAMESPACE = f"{PROJECT}-{DOMAIN}"
VERSION = "v1"
_OVER = (WorkflowExecution.SUCCEEDED, WorkflowExecution.FAILED, WorkflowExecution.ABORTED, WorkflowExecution.TIMED_OUT)


class PodPlatform:
    """One that runs; executions are those of one project and domain.

    The cluster's store is not the control plane's: pods cannot reach that one, and the operator has no keys of it.
    """

    def __init__(self, folder: Path, s3: S3Server, grpc_address: str) -> None:
        self.folder = folder
        self.s3 = s3
        self.grpc = grpc_address
        self.prefix = s3.new_prefix()
        self._channel = grpc.insecure_channel(grpc_address)
        self.admin = AdminServiceStub(self._channel)
        self._programs: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a program of the data plane, which writes into a log of its own."""
        with (self.folder / f"{name}.log").open("wb") as log:
            environment = {**clean_environment(self.folder), **self.s3.environment}
            started = subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log, env=environment)
        self._programs[name] = started
        return started

    def start_operator(self, settings: Mapping[str, Any], name: str = "operator") -> None:
        """Start an operator with these settings of its pods."""
        profile = self.folder / f"{name}.yaml"
        profile.write_text(yaml.safe_dump({"termination-grace-seconds": 1, "cpu": "50m", **settings}))
        self.start(
            name, "flyteform_dataplane.kubernetes", "--control-plane", self.grpc, "--objects", self.prefix,
            "--cluster", "one", "--state-dir", str(self.folder / name), "--kubeconfig", os.environ["KUBECONFIG"],
            "--namespace", "default", "--identity", name, "--profile", str(profile),
        )  # fmt: skip

    def start_webhook(self) -> None:
        """Start the webhook and have the API server ask it."""
        chain, key = self_signed(self.folder, NODE)
        command = ("flyteform_dataplane.kubernetes.webhook", f"--host={NODE}", "--port=0")
        self.start("webhook", *command, f"--certificate={chain}", f"--key={key}")
        log = self.folder / "webhook.log"
        wait_until(lambda: "at port" in log.read_text(), seconds=60, what="the webhook serves")
        port = re.search(r"at port (\d+)", log.read_text())
        assert port is not None
        client = {
            "url": f"https://{NODE}:{port.group(1)}{PATH}",
            "caBundle": base64.b64encode(chain.read_bytes()).decode(),
        }
        kubectl("apply", "-f", "-", given=configuration(client))

    def stop(self) -> None:
        """End what was started, and show what it said."""
        for name, program in self._programs.items():
            program.terminate()
            program.wait(timeout=60)
            logger.info("%s said:\n%s", name, (self.folder / f"{name}.log").read_text()[-8000:])

    def launch(self, name: str, what: str, kind: ResourceType = ResourceType.LAUNCH_PLAN, **numbers: int) -> None:
        """Begin an execution of a launch plan, or of a task."""
        inputs = LiteralMap()
        for key, value in numbers.items():
            inputs.literals[key].CopyFrom(Literal(scalar=Scalar(primitive=Primitive(integer=value))))
        entity = Identifier(resource_type=kind, project=PROJECT, domain=DOMAIN, name=what, version=VERSION)
        spec = ExecutionSpec(launch_plan=entity, metadata=ExecutionMetadata(mode=ExecutionMetadata.MANUAL))
        self.admin.CreateExecution(
            ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=name, spec=spec, inputs=inputs)
        )

    def execution(self, name: str) -> Execution:
        """Return an execution as it is now."""
        return self.admin.GetExecution(WorkflowExecutionGetRequest(id=_id(name)))

    def ended(self, name: str, seconds: float = 300) -> Execution:
        """Wait until an execution has ended, and return it."""
        what = f"execution {name} has ended"
        wait_until(lambda: self.execution(name).closure.phase in _OVER, seconds=seconds, what=what)
        return self.execution(name)

    def outputs(self, name: str) -> dict[str, Any]:
        """Return the plain outputs of an execution that has succeeded."""
        closure = self.ended(name).closure
        assert closure.phase == WorkflowExecution.SUCCEEDED, closure.error
        literals = self.admin.GetExecutionData(WorkflowExecutionGetRequest(id=_id(name))).full_outputs.literals
        found = {key: literal.scalar.primitive for key, literal in literals.items()}
        return {key: getattr(value, value.WhichOneof("value") or "") for key, value in found.items()}

    def nodes(self, name: str) -> list[NodeExecution]:
        """Return the nodes of an execution."""
        request = NodeExecutionListRequest(workflow_execution_id=_id(name), limit=100)
        return list(self.admin.ListNodeExecutions(request).node_executions)

    def log(self, name: str, node: str) -> list[str]:
        """Return what the first attempt of a node has printed."""
        identifier = NodeExecutionIdentifier(node_id=node, execution_id=_id(name))
        answers = LogServiceStub(self._channel).TailLogs(TailLogsRequest(node=identifier))
        return [line for answer in answers for line in answer.lines]

    def abort(self, name: str) -> None:
        """End an execution."""
        self.admin.TerminateExecution(ExecutionTerminateRequest(id=_id(name), cause="no more"))


@contextmanager
def installed(**labels: str) -> Iterator[None]:
    """Install what an installation installs: the definition, and the namespace of a project's domain."""
    kubectl("apply", "-f", "-", given=definition())
    kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    kubectl("apply", "-f", "-", given=namespace)
    try:
        yield
    finally:
        # Those of executions that have not ended would wait for an operator.
        for left in kubectl("get", "flyteworkflows", f"--namespace={NAMESPACE}", "--output=name").split():
            nothing = json.dumps({"metadata": {"finalizers": None}})
            kubectl("patch", left, f"--namespace={NAMESPACE}", "--type=merge", f"--patch={nothing}")
        kubectl("delete", "mutatingwebhookconfiguration", "flyteform-secrets", "--ignore-not-found")
        kubectl("delete", "namespace", NAMESPACE)
        kubectl("delete", "crd", NAME)


@contextmanager
def running(folder: Path, s3: S3Server) -> Iterator[PodPlatform]:
    """Run a control plane in a thread of this process; what else runs is started. The store is the cluster's."""
    addresses: Future[str] = Future()
    # Its objects are files of this machine.
    settings = ControlPlaneSettings(folder / "control", grpc_port=0, http_port=0)
    loop, stopped = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        control = ControlPlane(settings)
        addresses.set_result((await control.start()).grpc)
        await stopped.wait()
        await control.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    platform = PodPlatform(folder, s3, addresses.result(60))
    try:
        yield platform
    finally:
        platform.stop()
        loop.call_soon_threadsafe(stopped.set)
        thread.join()
        loop.close()


def _id(name: str) -> WorkflowExecutionIdentifier:
    return WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name)
