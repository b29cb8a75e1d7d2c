"""Two clusters on two replicas of one control plane: processes that can be killed, and data planes of this process.

Each data plane has a store of its own, whose URLs only it can sign, and an executor that runs what the test says.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flyteidl.core.literals_pb2 import LiteralMap

from flyteform.objects.local import LocalStore
from flyteform.objects.ports import SignedUrl
from flyteform.proto.flyteform.v1 import clusters_pb2 as pb
from flyteform.proto.flyteform.v1.clusters_pb2_grpc import ClusterServiceStub
from flyteform_dataplane.assembly import Plane, working
from flyteform_dataplane.attempt_logs import FileLogs, log_path, write_line
from flyteform_dataplane.plugins import default_registry
from flyteform_dataplane.runner.log import ExecutionLog
from support.platform import clean_environment, wait_until
from support.world import FakeExecutor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    import grpc.aio

    from flyteform.objects.ports import Method
    from flyteform_dataplane.ports import AttemptSpec
    from support.postgres import Postgres

START_SECONDS = 60.0
PATIENCE_SECONDS = 90.0
# A cluster is lost after this much silence.
SILENCE_SECONDS = 3.0
CONFIG = """
dispatch:
  leaseTtl: 3s
  heartbeatInterval: 1s
  heartbeatGrace: 3
"""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody has now: a replica that is started again has to have its former ones."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


class Replica:
    """One process of the control plane, always on the same ports."""

    def __init__(self, folder: Path, number: int, database_url: str, *arguments: str) -> None:
        self.grpc_port, self.http_port = free_ports(2)
        self._arguments = arguments
        self.address = f"127.0.0.1:{self.grpc_port}"
        self._folder, self._number, self._database_url = folder, number, database_url
        self._log = folder / f"replica-{number}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it serves."""
        config = self._folder / "config.yaml"
        config.write_text(CONFIG)
        command = [
            sys.executable,
            "-m",
            "flyteform_controlplane",
            f"--config={config}",
            f"--grpc-port={self.grpc_port}",
        ]
        places = [f"--state-dir={self._folder}/{self._number}", f"--objects-prefix=file://{self._folder}/objects"]
        environment = {**clean_environment(self._folder), "FLYTEFORM_DATABASE_URL": self._database_url}
        with self._log.open("wb") as file:
            self._process = subprocess.Popen(
                [*command, *places, f"--http-port={self.http_port}", *self._arguments],
                stdout=file,
                stderr=file,
                env=environment,
            )
        wait_until(self._told, seconds=START_SECONDS, what="the control plane says where it serves")

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def _told(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        return "grpc=" in self._log.read_text()


@contextmanager
def running_replicas(folder: Path, postgres: Postgres, *arguments: str) -> Iterator[tuple[Replica, Replica]]:
    """Run two on one database and one folder of objects; they share their keys, if the arguments ask for a login."""
    url = postgres.create_database()
    replicas = Replica(folder, 0, url, *arguments), Replica(folder, 1, url, *arguments)
    (folder / "keys").mkdir(mode=0o700)
    for number in range(len(replicas)):
        (folder / str(number)).mkdir(mode=0o700)
        (folder / str(number) / "auth").symlink_to(folder / "keys")
    try:
        for replica in replicas:
            replica.start()
        yield replicas
    finally:
        for replica in replicas:
            replica.kill()


class Bucket(LocalStore):
    """A folder whose objects are read over HTTP with a signature that this store alone can make."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"file://{folder}")
        self._secret = secrets.token_hex(16)
        bucket = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                file = Path(path)
                right = query == f"signature={bucket._secret}" and file.is_relative_to(folder) and file.is_file()
                self.send_response(200 if right else 403)
                self.end_headers()
                if right:
                    self.wfile.write(file.read_bytes())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    async def sign(self, uri: str, method: Method, expires_in: timedelta, *, md5: bytes | None = None) -> SignedUrl:
        """Return a URL of this bucket's own server."""
        assert (method, md5) == ("GET", None)
        assert expires_in
        path = uri.removeprefix("file://")
        return SignedUrl(f"http://127.0.0.1:{self._server.server_port}{path}?signature={self._secret}", {})

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@dataclass
class Cluster:
    """A cluster with its bucket; its data plane can be killed and come back."""

    name: str
    folder: Path
    target: str
    body: Callable[[AttemptSpec], Any]
    # Every start of an attempt, over all lives of the data plane.
    started: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make its bucket."""
        self.folder.mkdir(parents=True)
        self.bucket = Bucket(self.folder / "bucket")
        self._life: AsyncExitStack | None = None
        self._executor: FakeExecutor | None = None

    async def start(self) -> None:
        """Bring the data plane up; it goes on with what it held."""
        executor = self._executor = FakeExecutor(self.bucket, self._run)  # type: ignore[arg-type]
        plane = Plane(
            cluster=self.name,
            control_plane=self.target,
            objects=self.bucket,
            log=ExecutionLog(self.folder / "log.db"),
            executors=lambda _: executor,  # type: ignore[arg-type, return-value]
            opened=(),
            plugins=default_registry,
            logs=self.folder / "logs",
            attempt_logs=FileLogs(self.folder / "logs", lambda name: name in executor.running),
        )
        self._life = AsyncExitStack()
        await self._life.enter_async_context(working(plane))

    async def kill(self) -> None:
        """End it with all that it runs; nobody is told anything."""
        if self._life is not None and self._executor is not None:
            await self._executor.kill()
            await self._life.aclose()
            self._life = None

    def say(self, attempt: str, *lines: str) -> None:
        """Let an attempt print."""
        log = log_path(self.folder / "logs", attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        for line in lines:
            write_line(log, line)

    def _run(self, attempt: AttemptSpec) -> Any:
        self.started.append(attempt.name)
        self.say(attempt.name, f"begins in {self.name}")
        result = self.body(attempt)
        if isinstance(result, LiteralMap):
            self.ended.append(attempt.name)
        else:
            result.add_done_callback(lambda done: done.cancelled() or self.ended.append(attempt.name))
        return result

    def executions(self) -> set[str]:
        """Return the names of the executions of which anything was started here."""
        return {name.split("/")[2] for name in self.started}


class Clusters:
    """The calls of an operator, with a token where that is asked for."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Any = ()) -> None:
        self._stub = ClusterServiceStub(channel)
        self._with = {"metadata": metadata, "wait_for_ready": True}

    async def put(self, name: str, **spec: Any) -> None:
        """Declare a cluster."""
        await self._stub.PutCluster(pb.PutClusterRequest(name=name, spec=pb.ClusterSpec(**spec)), **self._with)

    async def get(self, name: str) -> pb.Cluster:
        """Look at one."""
        return (await self._stub.GetCluster(pb.GetClusterRequest(name=name), **self._with)).cluster

    async def drain(self, name: str) -> None:
        """Drain one."""
        await self._stub.DrainCluster(pb.DrainClusterRequest(name=name), **self._with)

    async def uncordon(self, name: str) -> None:
        """Let one work again."""
        await self._stub.UncordonCluster(pb.UncordonClusterRequest(name=name), **self._with)

    async def until(self, name: str, condition: Callable[[pb.Cluster], bool]) -> pb.Cluster:
        """Wait for a cluster to be so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition(found := await self.get(name)):  # noqa: ASYNC110 - told by a server
                await asyncio.sleep(0.05)
        return found


def fetch(url: str) -> bytes:
    """Get what lies at a signed URL; `PermissionError` if it is refused."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:  # noqa: S310 - a server of the tests
            content: bytes = response.read()
    except urllib.error.HTTPError as error:
        error.close()
        raise PermissionError(url) from None
    return content
