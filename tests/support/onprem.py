"""What a site has beside its cluster: PostgreSQL, S3, images, and a way in for callers."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.kubernetes import kubectl
from support.postgres import Postgres, running_postgres
from support.pulumi.cli import Cli
from support.pulumi.engine import Engine
from support.pulumi.manifests import KubernetesPlugin
from support.s3 import KEY, S3_PORT, SECRET, S3Server, running_s3

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
NODE = "10.88.0.1"  # where pods reach servers of the tests
PODS = "10.88.0.0/16"
PLATFORM_IMAGE, TASK_IMAGE = "localhost/platform:test", "localhost/task:test"
# The release before the newest change of the schema.
IMAGE_BEFORE = "localhost/platform:before"
NAMESPACE = "flyteform"
OURS = ("flyteform", "flyteform-dataplane", "flytesnacks-development")
PASSWORDS = {"admin": "admin-password-of-the-tests", "catalog": "catalog-password-of-the-tests"}
_PROGRAM = ROOT / "tests" / "cluster" / "onprem"


@dataclass(frozen=True)
class Site:
    """The servers beside the cluster."""

    postgres: Postgres
    s3: S3Server


@contextmanager
def site() -> Iterator[Site]:
    """Run PostgreSQL with two databases and two users, and S3 with two buckets, where pods reach them."""
    with running_postgres(NODE, PODS) as postgres, running_s3(NODE) as s3:
        for name, password in PASSWORDS.items():
            postgres.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
            postgres.execute(f"CREATE DATABASE {name} OWNER {name}")
        for bucket in ("site-metadata", "site-raw"):
            make_bucket(s3, bucket)
        yield Site(postgres, s3)


def make_bucket(s3: S3Server, name: str) -> None:
    """Make a bucket."""
    weed = Path(sys.executable).parent / "weed"
    master = f"{s3.address}:{s3.ports['master.port']}.{s3.ports['master.port.grpc']}"
    filer = f"{s3.address}:{s3.ports['filer.port']}.{s3.ports['filer.port.grpc']}"
    command = [weed, "shell", f"-master={master}", f"-filer={filer}"]
    done = subprocess.run(
        command, input=f"s3.bucket.create -name {name}\n", text=True, capture_output=True, check=False
    )
    assert f"created bucket {name}" in done.stdout, done.stdout + done.stderr


_IMPORT = """
import sys
from pathlib import Path
from tools.kubernetes import node, packages
from tools.kubernetes.settings import Cluster
run, task, platform, *before = sys.argv[1:]
images = [packages.task_image(task), packages.platform_image(platform)]
if before:
    images.append(packages.platform_image(before[0], Path(before[1])))
node.import_image(Cluster.read(Path(run)), *images)
"""


def import_images(before: Path | None = None) -> None:
    """Give the cluster's node images made from the checkout, and one of the release `before` it."""
    run = Path(os.environ["KUBECONFIG"]).parent
    more = (IMAGE_BEFORE, str(before)) if before else ()
    command = [sys.executable, "-c", _IMPORT, str(run), TASK_IMAGE, PLATFORM_IMAGE, *more]
    subprocess.run(command, cwd=ROOT, check=True)


@dataclass(frozen=True)
class Door:
    """Where callers outside of the cluster reach it."""

    grpc: str
    http: str


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    """Forward two ports to the control plane's service, whenever there is one: what a site's balancer does."""
    running: set[asyncio.Task[None]] = set()

    def forward_to(port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_forward(reader, writer, port))
            running.add(task)
            task.add_done_callback(running.discard)

        return accept

    servers = [await asyncio.start_server(forward_to(port), NODE, 0) for port in (8089, 8088)]
    grpc, http = (server.sockets[0].getsockname()[1] for server in servers)
    try:
        yield Door(f"{NODE}:{grpc}", f"http://{NODE}:{http}")
    finally:
        for server in servers:
            server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Carry one connection to a pod and back, until either side ends it."""
    writers = [writer]
    try:
        async with asyncio.timeout(60):
            inner, outer = await asyncio.open_connection(await asyncio.to_thread(_ready_pod), port)
        writers.append(outer)
        await asyncio.gather(_copy(reader, outer), _copy(inner, writer))
    except (OSError, AssertionError, TimeoutError):
        pass  # nobody serves: the caller sees its connection end
    finally:
        for each in writers:
            each.close()
            with suppress(OSError):
                await each.wait_closed()


def _ready_pod() -> str:
    """Return the address of a pod that serves: the node reaches pods by their own addresses."""
    selector = "--selector=app.kubernetes.io/component=controlplane"
    found = json.loads(kubectl("get", "pods", f"-n{NAMESPACE}", selector, "--output=json"))["items"]
    ready = [
        each["status"]["podIP"]
        for each in found
        for condition in each["status"].get("conditions", ())
        if condition["type"] == "Ready"
        and condition["status"] == "True"
        and "deletionTimestamp" not in each["metadata"]
    ]
    assert ready, "no pod of the control plane is ready"
    return str(ready[0])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def nowhere(folder: Path) -> tuple[Site, Door]:
    """Return a site where nothing runs: for clusters without pods, in which nobody would call it."""
    servers = Postgres(folder, folder, 5432), S3Server(folder, {S3_PORT: 8333})
    return Site(*servers), Door("127.0.0.1:1", "http://127.0.0.1:1")


def engine(
    folder: Path,
    place: Site,
    entry: Door,
    *,
    program: Path = _PROGRAM,
    image: str = PLATFORM_IMAGE,
    release: Sequence[str] = (),
) -> Engine:
    """Return an engine for a program of the tests, with a stack for this site and the image of its planes.

    `release` is where the packages of another release are, whose program it is.
    """
    copy = folder / "program"
    if not copy.exists():
        shutil.copytree(program, copy, ignore=shutil.ignore_patterns("flyteform_*"))
    amounts = {"cpu": "50m", "memory": "512Mi"}
    pods = {"image": image, "pullPolicy": "Never", "resources": amounts}
    platform = {
        "name": "site",
        "preset": "dev",
        "edge": {"domain": "flyte.example.org", "url": entry.http, "certificateSecret": "none"},
        "controlplane": {**pods, "replicas": {"minimum": 1, "maximum": 1}},
        "dataplane": {**pods, "name": "site"},
        "projects": [{"name": "flytesnacks", "domains": ["development"]}],
        "addons": {
            name: {"enabled": False} for name in ("externalSecrets", "certManager", "envoyGateway", "monitoring")
        },
        "onprem": {
            "postgres": {
                "external": {
                    "sslmode": "disable",
                    **{
                        name: {"host": NODE, "port": place.postgres.port, "name": name, "user": name}
                        for name in PASSWORDS
                    },
                }
            },
            "s3": {"external": {"endpoint": place.s3.endpoint, "metadata": "site-metadata", "raw": "site-raw"}},
            "servicePorts": [443, 6443, place.s3.ports[S3_PORT]],
        },
    }
    secrets = {"s3AccessKeyId": KEY, "s3SecretAccessKey": SECRET} | {
        f"{name}Password": password for name, password in PASSWORDS.items()
    }
    config = {
        "platform": json.dumps(platform),
        "kubeconfig": Path(os.environ["KUBECONFIG"]).read_text(),
        "endpoint": entry.grpc,
        "image": TASK_IMAGE,
        **secrets,
    }
    return Engine(
        copy,
        config={f"program:{key}": value for key, value in config.items()},
        environment={
            "FLYTEFORM_BUNDLES": str(folder / "bundles"),
            "FLYTEFORM_RELEASE": os.pathsep.join(release),
            "HOME": str(folder),
        },
        plugins={"kubernetes": KubernetesPlugin},
    )


def fitting(own: Engine) -> Engine | Cli:
    """Return the real CLI for the same program where that is, else the tests' own engine; say which."""
    if shutil.which("pulumi") is None:
        logger.info("run by the tests' own engine on Pulumi's protocol")
        return own
    logger.info("run by the real Pulumi CLI")
    # Its plugins are where the user has them, not below the home of the test.
    home = os.environ.get("PULUMI_HOME") or str(Path.home() / ".pulumi")
    return Cli(own.folder, own.config, {**own.environment, "PULUMI_HOME": home})


def user_secret() -> str:
    """Return the secret of the platform's users."""
    found = json.loads(kubectl("get", "secret", "flyteform-login", f"-n{NAMESPACE}", "--output=json"))
    return base64.b64decode(found["data"]["flyteform.secret"]).decode()


def left_behind() -> list[str]:
    """Return what there still is of a platform."""
    listed = json.loads(kubectl("get", "namespaces", "--output=json"))["items"]
    spaces = [each["metadata"]["name"] for each in listed if each["metadata"]["name"] in OURS]
    kinds = "customresourcedefinitions,clusterroles,clusterrolebindings"
    rest = kubectl("get", kinds, "--selector=app.kubernetes.io/part-of=flyteform", "--output=name")
    return [*spaces, *rest.split()]


def cluster_wide() -> set[str]:
    """Return all that is in the cluster and in no namespace, of every kind that the API server lists."""
    kinds = kubectl("api-resources", "--namespaced=false", "--verbs=list,delete", "--output=name").split()
    return set(kubectl("get", ",".join(kinds), "--output=name").split())


@dataclass
class Thinker:
    """A server that answers a number, but only when it is told to."""

    url: str
    calls: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def thinker() -> AsyncIterator[Thinker]:
    """Serve where pods reach it; who is still waiting in the end is not answered."""
    waiting: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(_think(made, reader, writer))
        waiting.add(task)
        task.add_done_callback(waiting.discard)

    server = await asyncio.start_server(accept, NODE, 0)
    made = Thinker(f"http://{NODE}:{server.sockets[0].getsockname()[1]}")
    try:
        yield made
    finally:
        server.close()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _think(server: Thinker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        server.calls += 1
        server.asked.set()
        await server.answering.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n21")
        await writer.drain()
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
