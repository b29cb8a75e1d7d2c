"""Two API servers, each with a bucket whose credentials read no other, on two replicas of one control plane.

The nodes are simulated; operators, tokens, buckets, database and control plane are real ones. The data planes show the
tokens that their API servers issue, verified by the keys that these publish.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from flyteidl.admin.common_pb2 import Annotations
from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionSpec, WorkflowExecutionGetRequest
from flyteidl.admin.matchable_resource_pb2 import ExecutionClusterLabel
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.core.execution_pb2 import WorkflowExecution
from flyteidl.core.interface_pb2 import VariableMap
from flyteidl.core.literals_pb2 import Blob, BlobMetadata, Literal, LiteralMap, Scalar
from flyteidl.core.types_pb2 import BlobType, LiteralType
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from joserfc import jwt
from joserfc.jwk import RSAKey

from flyteform.errors import FlyteformError
from flyteform.objects.s3 import S3Store
from flyteform.proto.flyteform.v1 import clusters_pb2 as pb
from flyteform_dataplane.kubernetes.workflows.definition import API_VERSION, NAME, PLURAL, definition
from support.admin import DOMAIN, PROJECT, integers, task_spec
from support.kubernetes import kubectl
from support.login import bearer, register
from support.postgres import running_postgres
from support.s3 import S3Server, running_s3
from support.simulated import Simulated, simulated
from support.two_clusters import Clusters, Replica, free_ports, running_replicas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier

logger = logging.getLogger(__name__)

PATIENCE = 180.0
NAMESPACE = f"{PROJECT}-{DOMAIN}"
WORKFLOWS = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/{PLURAL}"
AUDIENCE = "https://flyte.example.org"
ACCOUNT = "flyteform-operator"
SUBJECT = f"system:serviceaccount:default:{ACCOUNT}"
ENDED = (WorkflowExecution.SUCCEEDED, WorkflowExecution.FAILED, WorkflowExecution.ABORTED)
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED


@dataclass
class Site:
    """A cluster: its API server, its bucket, and its operator, which can be killed and come back."""

    name: str
    folder: Path
    api: Simulated
    s3: S3Server
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        """Install what an installation installs."""
        self.prefix = self.s3.new_prefix() + f"-{self.name}"
        self.kubectl("apply", "-f", "-", given=definition())
        self.kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=30s")
        self.kubectl("create", "serviceaccount", ACCOUNT, "--namespace=default")

    def kubectl(self, *arguments: str, given: Any = None) -> str:
        """Ask the cluster as its administrator."""
        return kubectl(f"--kubeconfig={self.api.kubeconfig}", *arguments, given=given)

    def issue(self, account: str = ACCOUNT, audience: str = AUDIENCE) -> str:
        """Return a token that the cluster itself issues, as a kubelet projects it."""
        return self.kubectl("create", "token", account, "--namespace=default", f"--audience={audience}").strip()

    def identity(self) -> pb.ClusterIdentity:
        """Return what is pinned of it: its issuer's name and the keys that its API server publishes."""
        issuer = json.loads(self.kubectl("get", "--raw", "/.well-known/openid-configuration"))["issuer"]
        keys = self.kubectl("get", "--raw", "/openid/v1/jwks")
        return pb.ClusterIdentity(issuer=issuer, audience=AUDIENCE, subject=SUBJECT, jwks=keys)

    def start(self, control_plane: str) -> None:
        """Start its operator."""
        self.starts += 1
        token = self.folder / "token"
        token.write_text(self.issue())
        command = [
            sys.executable, "-m", "flyteform_dataplane.kubernetes", "--control-plane", control_plane,
            "--objects", self.prefix, "--cluster", self.name, "--state-dir", str(self.folder / "operator"),
            "--kubeconfig", str(self.api.kubeconfig), "--namespace", "default", "--token-file", str(token),
            "--identity", f"{self.name}-{self.starts}",
        ]  # fmt: skip
        with (self.folder / f"operator-{self.starts}.log").open("wb") as log:
            environment = {**os.environ, **self.s3.environment}
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def bucket(self, secret: str = "") -> S3Store:
        """Return its bucket for those who know the secret, which is its own if none is given."""
        return S3Store(self.prefix, {**self.s3.environment, "AWS_SECRET_ACCESS_KEY": secret or self.s3.secret})

    def sign(self, lifetime: int) -> str:
        """Return a token with the cluster's own signature that is good for so many seconds from now, or was."""
        key = RSAKey.import_key((self.api.folder / "pki" / "service-account.key").read_bytes())
        identity, now = self.identity(), int(time.time())
        header = {"alg": "RS256", "kid": json.loads(identity.jwks)["keys"][0]["kid"]}
        claims = {"iss": identity.issuer, "aud": [AUDIENCE], "sub": SUBJECT, "iat": now - 3600, "exp": now + lifetime}
        return jwt.encode(header, claims, key)

    def kill(self) -> None:
        """Kill its operator."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let its operator stand still, as on a machine that is suspended."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its operator go on."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def said(self) -> str:
        """Return what the operators have said last."""
        logs = [(self.folder / f"operator-{number}.log").read_text()[-3000:] for number in range(1, self.starts + 1)]
        return "\n".join(logs)

    def executions(self) -> list[str]:
        """Return the executions that were here, each as often as it was."""
        return self._names("flyteworkflows")

    def version(self) -> str:
        """Return how far its history of executions goes now."""
        found: str = json.loads(self.kubectl("get", "--raw", WORKFLOWS))["metadata"]["resourceVersion"]
        return found

    def made_since(self, version: str) -> set[str]:
        """Return the executions that came here after that, whether they are here or not."""
        events = self.kubectl("get", "--raw", f"{WORKFLOWS}?watch=1&timeoutSeconds=1&resourceVersion={version}")
        changes = [json.loads(line) for line in events.splitlines()]
        return {change["object"]["metadata"]["name"] for change in changes if change["type"] == "ADDED"}

    def pods(self) -> list[str]:
        """Return the pods of executions."""
        return self._names("pods")

    def _names(self, kind: str) -> list[str]:
        found = self.kubectl("get", kind, f"--namespace={NAMESPACE}", "--ignore-not-found", "--output=name")
        return [line.rpartition("/")[2] for line in found.split()]


class Platform:
    """Both sites, both replicas, and a user of either."""

    def __init__(self, sites: tuple[Site, Site], replicas: tuple[Replica, Replica], user: str) -> None:
        self.east, self.west = sites
        self.replicas = replicas
        self.user = bearer(user)
        self.admins: list[Any] = []
        self.channels: list[grpc.aio.Channel] = []
        self.operator: Clusters

    @property
    def target(self) -> str:
        """Whichever replica is there."""
        return "ipv4:" + ",".join(replica.address for replica in reversed(self.replicas))

    async def open(self, stack: AsyncExitStack) -> None:
        """Connect a user, onboard both clusters and start their operators."""
        for replica in self.replicas:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(replica.address))
            self.channels.append(channel)
            self.admins.append(AdminServiceStub(channel))
        self.operator = Clusters(self.channels[0], self.user)
        for site in (self.east, self.west):
            await self.declare(site)
            site.start(self.target)
        for site in (self.east, self.west):
            await self.operator.until(site.name, lambda found: found.sync.in_sync)

    async def declare(self, site: Site, weight: float = 1.0) -> None:
        """Onboard a cluster, or change its weight."""
        storage = pb.StorageProfile(prefix=site.prefix)
        labels = {site.name: 1.0}
        await self.operator.put(site.name, labels=labels, weight=weight, identity=site.identity(), storage=storage)

    async def register(self, name: str, kind: LiteralType | None = None) -> Identifier:
        """Register a task that takes an integer, or something of another kind, and gives nothing back."""
        spec = task_spec(name)
        spec.template.interface.outputs.CopyFrom(VariableMap())
        if kind is not None:
            spec.template.interface.inputs.variables["x"].type.CopyFrom(kind)
        await self.admins[0].CreateTask(
            TaskCreateRequest(id=spec.template.id, spec=spec), metadata=self.user, wait_for_ready=True
        )
        return spec.template.id

    async def launch(
        self, task: Identifier, name: str, *, seconds: int = 0, label: str = "", at: int = 0, x: Literal | None = None
    ) -> Any:
        """Launch it through one replica."""
        spec = ExecutionSpec(launch_plan=task)
        spec.annotations.CopyFrom(Annotations(values={"simulated/seconds": f"{seconds}s"}))
        if label:
            spec.execution_cluster_label.CopyFrom(ExecutionClusterLabel(value=label))
        inputs = integers(x=1) if x is None else LiteralMap(literals={"x": x})
        request = ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=name, spec=spec, inputs=inputs)
        return (await self.admins[at].CreateExecution(request, metadata=self.user, wait_for_ready=True)).id

    async def all_succeed(self, names: list[WorkflowExecutionIdentifier]) -> None:
        """Wait for all; each was in one cluster, with one pod."""
        async with asyncio.timeout(PATIENCE):
            for name in names:
                found = WorkflowExecution.UNDEFINED
                request = WorkflowExecutionGetRequest(id=name)
                while found not in ENDED:
                    answer = await self.admins[0].GetExecution(request, metadata=self.user, wait_for_ready=True)
                    found = answer.closure.phase
                    await asyncio.sleep(0.1)
                assert found == WorkflowExecution.SUCCEEDED, answer
        here, there = self.east.executions(), self.west.executions()
        assert not set(here) & set(there)
        assert {name.name for name in names} <= {*here, *there}
        pods = [*self.east.pods(), *self.west.pods()]
        assert sorted(name.name for name in names if sum(f"{name.name}-" in pod for pod in pods) != 1) == []


@contextmanager
def running_sites(folder: Path) -> Iterator[tuple[Site, Site]]:
    """Run two API servers, each with an object store whose secret is its own."""
    places = {name: folder / name for name in ("east", "west")}
    for place in places.values():
        place.mkdir()
    with (
        running_s3(secret="of-the-east-alone") as in_east,  # noqa: S106 - the server's own, on loopback
        running_s3(secret="of-the-west-alone") as in_west,  # noqa: S106 - as above
        simulated(places["east"]) as east,
        simulated(places["west"]) as west,
    ):
        sites = Site("east", places["east"], east, in_east), Site("west", places["west"], west, in_west)
        try:
            yield sites
        finally:
            for site in sites:
                site.kill()


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    """Give both clusters."""
    with running_sites(tmp_path) as running:
        yield running


@pytest.fixture
def control(tmp_path: Path) -> Iterator[tuple[tuple[Replica, Replica], str]]:
    """Run two replicas with login, and give the token of a user."""
    folder = tmp_path / "control"
    folder.mkdir()
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    with running_postgres() as postgres, running_replicas(folder, postgres, "--auth", f"--public-url={url}") as both:
        key = RSAKey.import_key(json.loads((folder / "keys" / "signing-keys.json").read_bytes())["keys"][0])
        now = int(time.time())
        claims = {"iss": url, "aud": url, "sub": "somebody", "scope": "all", "iat": now, "exp": now + 7200}
        yield both, jwt.encode({"alg": "RS256", "kid": str(key.kid)}, claims, key)


@pytest.fixture
async def platform(sites: tuple[Site, Site], control: tuple[tuple[Replica, Replica], str]) -> AsyncIterator[Platform]:
    """Connect all of it."""
    running = Platform(sites, *control)
    async with AsyncExitStack() as stack:
        await running.open(stack)
        yield running
        logger.info("%s\n%s", running.east.said(), running.west.said())


async def refuse_wrong_tokens(platform: Platform) -> None:
    """Nobody gets in for east but with east's own token for us."""
    east, west = platform.east, platform.west
    forger = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"})
    pinned = json.loads(east.identity().jwks)["keys"][0]["kid"]
    claims = {"iss": east.identity().issuer, "aud": [AUDIENCE], "sub": SUBJECT, "exp": int(time.time()) + 600}
    forged = jwt.encode({"alg": "RS256", "kid": pinned}, claims, forger)
    assert await register(platform.channels[0], forged, "east") is UNAUTHENTICATED
    assert await register(platform.channels[0], west.issue(), "east") is DENIED
    assert (
        await register(platform.channels[0], east.issue(audience="https://kubernetes.default.svc"), "east")
        is UNAUTHENTICATED
    )
    assert await register(platform.channels[0], east.issue("default"), "east") is UNAUTHENTICATED
    # One that was good once and that somebody has kept; the same with time left is known, and asked for its store.
    assert await register(platform.channels[0], east.sign(-600), "east") is UNAUTHENTICATED
    assert await register(platform.channels[0], east.sign(600), "east") is grpc.StatusCode.FAILED_PRECONDITION
    assert await register(platform.channels[0], east.sign(600), "west") is DENIED


async def run_by_labels(platform: Platform, task: Identifier) -> None:
    """Labelled work goes to its cluster; the other's bucket stays closed to it."""
    names = [
        await platform.launch(task, f"label{at}", label=label, at=at % 2)
        for at, label in enumerate(["east", "west"] * 3)
    ]
    await platform.all_succeed(names)
    assert {name for name in platform.east.executions() if name.startswith("label")} == {"label0", "label2", "label4"}
    with pytest.raises(grpc.aio.AioRpcError, match="north") as refused:
        await platform.launch(task, "nowhere", label="north")
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def run_by_weights(platform: Platform, task: Identifier) -> None:
    """Give a cluster that weighs nothing nothing, but for what asks for it by its label."""
    await platform.declare(platform.east, weight=0)
    names = [await platform.launch(task, f"light{at}", at=at % 2) for at in range(6)]
    asked = await platform.launch(task, "asked", label="east")
    await platform.all_succeed([*names, asked])
    assert [name for name in platform.east.executions() if name.startswith(("light", "asked"))] == ["asked"]
    await platform.declare(platform.east)


async def carry_over(platform: Platform) -> None:
    """Give what work in east has left to work in west: it gets a copy, as it cannot read the other bucket."""
    east, west = platform.east.bucket(), platform.west.bucket()
    uri = f"{east.prefix}/raw/result"
    await east.put(uri, b"of the east")
    with pytest.raises(FlyteformError):
        await platform.east.bucket(platform.west.s3.secret).get(uri)
    kind = LiteralType(blob=BlobType(dimensionality=BlobType.SINGLE))
    result = Literal(scalar=Scalar(blob=Blob(uri=uri, metadata=BlobMetadata(type=kind.blob))))
    task = await platform.register("takes", kind)
    await platform.all_succeed([await platform.launch(task, "carried", label="west", x=result)])
    written = west.list(f"{west.prefix}/metadata/propeller/{PROJECT}-{DOMAIN}-carried/")
    (inputs,) = [each.uri async for each in written if each.uri.endswith("/inputs.pb")]
    copy = LiteralMap.FromString(await west.get(inputs)).literals["x"].scalar.blob.uri
    assert await west.get(copy) == b"of the east"


async def drain_east(platform: Platform, task: Identifier) -> None:
    """Let end in east what runs there; what comes goes west, and east is drained."""
    first = [await platform.launch(task, f"before{at}", seconds=6, at=at % 2) for at in range(8)]
    await platform.operator.until("east", lambda found: found.held > 0 and not found.leased)
    await platform.operator.drain("east")
    second = [await platform.launch(task, f"after{at}", at=at % 2) for at in range(8)]
    await platform.operator.until("east", lambda found: found.drained)
    await platform.all_succeed([*first, *second])
    assert not {name for name in platform.east.executions() if name.startswith("after")}
    await platform.operator.uncordon("east")


async def kill_east(platform: Platform, task: Identifier) -> None:
    """Keep its operator away for longer than heartbeats allow; what it held waits for the next one, which goes on."""
    first = [await platform.launch(task, f"kill{at}", seconds=6, at=at % 2) for at in range(8)]
    await platform.operator.until("east", lambda found: found.held > 0 and not found.leased)
    platform.east.kill()
    lost = await platform.operator.until("east", lambda found: found.state == pb.CLUSTER_STATE_LOST)
    assert lost.held > 0
    second = [await platform.launch(task, f"lost{at}", at=at % 2) for at in range(8)]
    platform.east.start(platform.target)
    await platform.all_succeed([*first, *second])
    await platform.operator.until("east", lambda found: found.state == pb.CLUSTER_STATE_READY)
    assert not {name for name in platform.east.executions() if name.startswith("lost")}


async def freeze_east(platform: Platform, task: Identifier) -> None:
    """Offer its operator work while it stands still: west does it, and what east reads when it goes on is too old."""
    await platform.declare(platform.west, weight=0)
    before = platform.east.version()
    platform.east.freeze()
    offered = [await platform.launch(task, f"frozen{at}", at=at % 2) for at in range(4)]
    await platform.operator.until("east", lambda found: found.leased > 0)
    await platform.declare(platform.west)
    await platform.all_succeed(offered)
    platform.east.thaw()
    await platform.operator.until("east", lambda found: found.state == pb.CLUSTER_STATE_READY)
    await platform.all_succeed([*offered, await platform.launch(task, "thawed", label="east")])
    assert platform.east.made_since(before) == {"thawed"}


async def kill_a_replica(platform: Platform, task: Identifier) -> None:
    """Kill the one that had the links: the other has them, and all goes on; so it does when the first is back."""
    first = [await platform.launch(task, f"rep{at}", seconds=4, at=at % 2) for at in range(8)]
    await platform.operator.until("east", lambda found: found.held > 0)
    platform.replicas[1].kill()
    second = [await platform.launch(task, f"one{at}") for at in range(4)]
    await platform.all_succeed([*first, *second])
    platform.replicas[1].start()
    await platform.all_succeed([await platform.launch(task, f"two{at}", at=at % 2) for at in range(4)])


@pytest.mark.timeout(900)
async def test_two_clusters_and_two_replicas_are_one_platform(platform: Platform) -> None:
    """Whatever is killed and comes back: nothing is lost, nothing runs twice, nobody gets in who should not."""
    task = await platform.register("simulated")
    await refuse_wrong_tokens(platform)
    await run_by_labels(platform, task)
    await run_by_weights(platform, task)
    await carry_over(platform)
    await drain_east(platform, task)
    await kill_east(platform, task)
    await freeze_east(platform, task)
    await kill_a_replica(platform, task)
