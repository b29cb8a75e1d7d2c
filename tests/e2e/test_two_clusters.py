"""Two clusters, each with a bucket that the other cannot read, on two replicas of one control plane."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from flyteidl.admin.execution_pb2 import (
    ExecutionCreateRequest,
    ExecutionMetadata,
    ExecutionSpec,
    ExecutionTerminateRequest,
    WorkflowExecutionGetDataRequest,
    WorkflowExecutionGetRequest,
)
from flyteidl.admin.matchable_resource_pb2 import ExecutionClusterLabel
from flyteidl.admin.node_execution_pb2 import NodeExecutionGetRequest
from flyteidl.admin.task_pb2 import TaskCreateRequest
from flyteidl.core.execution_pb2 import ExecutionError, WorkflowExecution
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, WorkflowExecutionIdentifier
from flyteidl.core.literals_pb2 import Blob, Literal, LiteralMap, Primitive, Scalar
from flyteidl.core.types_pb2 import BlobType, LiteralType, SimpleType
from flyteidl.datacatalog import datacatalog_pb2 as catalog_pb
from flyteidl.datacatalog.datacatalog_pb2_grpc import DataCatalogStub
from flyteidl.service.admin_pb2_grpc import AdminServiceStub
from flyteidl.service.dataproxy_pb2 import CreateDownloadLocationRequest
from flyteidl.service.dataproxy_pb2_grpc import DataProxyServiceStub

from flyteform.proto.flyteform.v1 import clusters_pb2 as pb
from flyteform.proto.flyteform.v1.logs_pb2 import TailLogsRequest
from flyteform.proto.flyteform.v1.logs_pb2_grpc import LogServiceStub
from support.admin import DOMAIN, PROJECT, integers, task_spec
from support.postgres import running_postgres
from support.two_clusters import PATIENCE_SECONDS, Cluster, Clusters, Replica, fetch, running_replicas
from support.world import Broken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform_dataplane.ports import AttemptSpec

SUCCEEDED = WorkflowExecution.SUCCEEDED


class Platform:
    """Two replicas, the clusters east and west, and a user who asks either replica."""

    def __init__(self, replicas: tuple[Replica, Replica], channels: list[grpc.aio.Channel], folder: Path) -> None:
        self.replicas = replicas
        self.admins: list[Any] = [AdminServiceStub(channel) for channel in channels]
        self.proxies: list[Any] = [DataProxyServiceStub(channel) for channel in channels]
        self.channels = channels
        self.operator = Clusters(channels[0])
        self.gates: dict[str, asyncio.Future[LiteralMap]] = {}
        self.closed = False
        # What was run of tasks of our own SDK, which are run really.
        self.commands: list[tuple[str, ...]] = []
        # Whichever replica is there: the first of the list that answers.
        both = ",".join(replica.address for replica in replicas)
        turned = ",".join(replica.address for replica in reversed(replicas))
        self.east = Cluster("east", folder / "east", f"ipv4:{both}", self._run)
        self.west = Cluster("west", folder / "west", f"ipv4:{turned}", self._run)

    def _run(self, attempt: AttemptSpec) -> Any:
        if attempt.command[0] == "flyteform-execute":
            self.commands.append(attempt.command)
            return asyncio.ensure_future(execute(attempt))
        if not self.closed:
            return integers(o0=1)
        gate = self.gates[attempt.name] = asyncio.get_running_loop().create_future()
        return gate

    def open_gates(self) -> None:
        """Let all that runs end, and whatever comes later at once."""
        self.closed = False
        for gate in self.gates.values():
            if not gate.done():
                gate.set_result(integers(o0=1))

    async def register(self, name: str) -> Identifier:
        """Register a task."""
        spec = task_spec(name)
        spec.template.container.args[:] = ["run", "{{.outputPrefix}}"]
        await self.admins[0].CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec))
        return spec.template.id

    async def launch(
        self, task: Identifier, name: str, label: str = "", at: int = 0, parent: NodeExecutionIdentifier | None = None
    ) -> WorkflowExecutionIdentifier:
        """Launch it through one replica, as a child if it has a parent."""
        spec = ExecutionSpec(launch_plan=task, metadata=ExecutionMetadata(parent_node_execution=parent))
        if label:
            spec.execution_cluster_label.CopyFrom(ExecutionClusterLabel(value=label))
        request = ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=name, spec=spec, inputs=integers(x=1))
        return (await self.admins[at].CreateExecution(request, wait_for_ready=True)).id

    async def end_of(self, name: WorkflowExecutionIdentifier, at: int = 0) -> Any:
        """Return an execution once it has ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                found = await self.admins[at].GetExecution(WorkflowExecutionGetRequest(id=name), wait_for_ready=True)
                if found.closure.phase in (SUCCEEDED, WorkflowExecution.FAILED, WorkflowExecution.ABORTED):
                    return found
                await asyncio.sleep(0.05)

    async def until_known(self, node: NodeExecutionIdentifier) -> None:
        """Wait until the control plane knows that a node runs."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await self.admins[0].GetNodeExecution(NodeExecutionGetRequest(id=node))
                    return
                await asyncio.sleep(0.05)

    async def until_started(self, count: int) -> None:
        """Wait until so many attempts run."""
        await self._until(lambda: len(self.east.started) + len(self.west.started) >= count)

    async def until_ended(self, count: int) -> None:
        """Wait until so many attempts have ended."""
        await self._until(lambda: len(self.east.ended) + len(self.west.ended) >= count)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():  # noqa: ASYNC110 - told by lists
                await asyncio.sleep(0.02)

    async def all_succeed(self, names: list[WorkflowExecutionIdentifier]) -> None:
        """Wait for all, and see that each ran to its end once, in one cluster."""
        for name in names:
            found = await self.end_of(name)
            assert found.closure.phase == SUCCEEDED, found
        ended = [*self.east.ended, *self.west.ended]
        assert len(ended) == len(set(ended))
        assert not self.east.executions() & self.west.executions()
        assert {name.name for name in names} <= self.east.executions() | self.west.executions()


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Replica, Replica]]:
    """Run two replicas for the tests of this file."""
    with running_postgres() as postgres, running_replicas(tmp_path_factory.mktemp("control"), postgres) as running:
        yield running


@asynccontextmanager
async def opened(replicas: tuple[Replica, Replica], folder: Path) -> AsyncIterator[Platform]:
    """Connect both data planes and a user."""
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(grpc.aio.insecure_channel(replica.address)) for replica in replicas]
        platform = Platform(replicas, channels, folder)
        for cluster in (platform.east, platform.west):
            stack.callback(cluster.bucket.close)
            stack.push_async_callback(cluster.kill)
            prefix = pb.StorageProfile(prefix=cluster.bucket.prefix)
            await platform.operator.put(cluster.name, labels={cluster.name: 1.0}, storage=prefix)
            await platform.operator.uncordon(cluster.name)
            await cluster.start()
        for name in ("east", "west"):
            await platform.operator.until(name, lambda found: found.state == pb.CLUSTER_STATE_READY)
        yield platform


@pytest.fixture
async def platform(replicas: tuple[Replica, Replica], tmp_path: Path) -> AsyncIterator[Platform]:
    """Give the platform with both clusters ready."""
    async with opened(replicas, tmp_path) as running:
        yield running


async def test_labels_and_weights_decide_where_work_goes(platform: Platform) -> None:
    """Labelled work goes to its cluster alone, a label that none has is refused, weight 0 is for none."""
    task = await platform.register("labels")
    names = [await platform.launch(task, f"lab{at}", label, at % 2) for at, label in enumerate(["east", "west"] * 4)]
    await platform.all_succeed(names)
    assert platform.east.executions() == {"lab0", "lab2", "lab4", "lab6"}
    for at in (0, 1):
        with pytest.raises(grpc.aio.AioRpcError, match="north") as refused:
            await platform.launch(task, "nowhere", "north", at)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    storage = pb.StorageProfile(prefix=platform.east.bucket.prefix)
    await platform.operator.put("east", labels={"east": 1.0}, weight=0.0, storage=storage)
    await platform.all_succeed([await platform.launch(task, f"any{at}", at=at % 2) for at in range(6)])
    assert not {name for name in platform.east.executions() if name.startswith("any")}


async def test_a_drain_in_mid_load_lets_run_what_runs(platform: Platform) -> None:
    """What east holds ends there, nothing new goes there, and it says when nothing is left."""
    task = await platform.register("drain")
    platform.closed = True
    first = [await platform.launch(task, f"before{at}", at=at % 2) for at in range(12)]
    await platform.operator.until("east", lambda found: found.held > 0 and not found.leased)
    await platform.operator.drain("east")
    held = (await platform.operator.until("east", lambda found: not found.leased)).held
    second = [await platform.launch(task, f"after{at}", at=at % 2) for at in range(12)]
    await platform.operator.until("west", lambda found: found.held == 24 - held)
    draining = await platform.operator.get("east")
    assert (draining.state, draining.drained, draining.held) == (pb.CLUSTER_STATE_DRAINING, False, held)
    platform.open_gates()
    await platform.all_succeed([*first, *second])
    assert not {name for name in platform.east.executions() if name.startswith("after")}
    await platform.operator.until("east", lambda found: found.drained)


async def held_in_east(platform: Platform, all_held: int) -> int:
    """Wait until both clusters together hold so many; return how many of them east has."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            east, west = await asyncio.gather(*map(platform.operator.get, ("east", "west")))
            if east.held + west.held == all_held:
                return int(east.held)
            await asyncio.sleep(0.05)


async def test_a_cluster_is_killed_in_mid_load_and_comes_back(platform: Platform) -> None:
    """It is LOST with a since, what it acknowledged waits for it, what comes goes elsewhere, and all ends once."""
    task = await platform.register("kill")
    platform.closed = True
    first = [await platform.launch(task, f"kill{at}", at=at % 2) for at in range(12)]
    held = await held_in_east(platform, 12)
    assert held
    await platform.east.kill()
    platform.open_gates()
    second = [await platform.launch(task, f"lost{at}", at=at % 2) for at in range(12)]
    lost = await platform.operator.until("east", lambda found: found.state == pb.CLUSTER_STATE_LOST)
    assert lost.HasField("lost_since")
    assert lost.held >= held
    await platform.operator.until("west", lambda found: not found.held)
    with pytest.raises(grpc.aio.AioRpcError, match="'gone'"):
        await platform.launch(task, "nowhere", "gone")
    await platform.east.start()
    await platform.all_succeed([*first, *second])
    back = await platform.operator.until("east", lambda found: found.state == pb.CLUSTER_STATE_READY)
    assert not back.HasField("lost_since")


async def test_a_cluster_that_does_not_come_back_is_given_up(platform: Platform) -> None:
    """What it held fails, or is aborted where that was asked for; back all the same, it stops that and works again."""
    task = await platform.register("given-up")
    give_up = ["cluster", "abandon", "east", "-y", "--endpoint", platform.replicas[0].address, "--insecure"]
    platform.closed = True
    names = [await platform.launch(task, f"left{at}", "east", at % 2) for at in range(3)]
    await platform.until_started(3)
    await platform.operator.until("east", lambda found: found.held == 3)
    code, said = await asyncio.to_thread(run_command, give_up)
    assert (code, "'east' is not lost" in said, "cluster drain east" in said) == (1, True, True)
    await platform.east.kill()
    await platform.operator.until("east", lambda found: found.state == pb.CLUSTER_STATE_LOST)
    await platform.admins[1].TerminateExecution(ExecutionTerminateRequest(id=names[2], cause="no longer wanted"))
    assert await asyncio.to_thread(run_command, give_up) == (0, "east: 3 executions ended\n")
    assert await asyncio.to_thread(run_command, give_up) == (0, "east: 0 executions ended\n")
    closures = [(await platform.end_of(name)).closure for name in names]
    assert [WorkflowExecution.Phase.Name(closure.phase) for closure in closures] == ["FAILED", "FAILED", "ABORTED"]
    for closure in closures[:2]:
        assert (closure.error.code, closure.error.kind) == ("ClusterAbandoned", ExecutionError.SYSTEM)
        assert "'east' was given up" in closure.error.message
    await platform.east.start()
    platform.open_gates()
    await platform.all_succeed([await platform.launch(task, "anew", "east")])
    await platform.operator.until("east", lambda found: not found.held)
    assert [(await platform.end_of(name)).closure for name in names] == closures


async def test_a_replica_is_killed_in_mid_load_and_comes_back(platform: Platform) -> None:
    """Its data planes go to the other one, what runs goes on and reports there, and nothing is lost or run twice."""
    task = await platform.register("replica")
    platform.closed = True
    first = [await platform.launch(task, f"rep{at}", at=at % 2) for at in range(12)]
    await platform.operator.until("east", lambda found: found.held > 0 and not found.leased)
    platform.replicas[1].kill()
    platform.open_gates()
    second = [await platform.launch(task, f"one{at}") for at in range(6)]
    await platform.all_succeed([*first, *second])
    platform.replicas[1].start()
    third = [await platform.launch(task, f"two{at}", at=at % 2) for at in range(6)]
    await platform.all_succeed(third)


async def test_what_ends_while_no_replica_is_there_is_reported_later(platform: Platform) -> None:
    """The data planes run on by themselves, and tell it all, once, when somebody listens again."""
    task = await platform.register("offline")
    platform.closed = True
    names = [await platform.launch(task, f"off{at}", at=at % 2) for at in range(8)]
    await platform.until_started(8)
    for replica in platform.replicas:
        replica.kill()
    platform.open_gates()
    await platform.until_ended(8)
    for replica in platform.replicas:
        replica.start()
    await platform.all_succeed(names)


async def test_inputs_of_many_megabytes_reach_their_cluster(platform: Platform) -> None:
    """Larger than gRPC's own limit for a message: they go by a signed URL, and are there to the last byte."""
    spec = task_spec("large", "text")
    spec.template.container.args[:] = ["run", "{{.outputPrefix}}"]
    spec.template.interface.inputs.variables["x"].type.CopyFrom(LiteralType(simple=SimpleType.STRING))
    await platform.admins[0].CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec))
    task = spec.template.id
    text = Literal(scalar=Scalar(primitive=Primitive(string_value="0123456789abcdef" * 600_000)))
    inputs = LiteralMap(literals={"x": text})
    wanted = ExecutionSpec(launch_plan=task, execution_cluster_label=ExecutionClusterLabel(value="east"))
    request = ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name="large", spec=wanted, inputs=inputs)
    name = (await platform.admins[0].CreateExecution(request)).id
    assert (await platform.end_of(name)).closure.phase == SUCCEEDED
    folder = f"{platform.east.bucket.prefix}/metadata/propeller/{PROJECT}-{DOMAIN}-large/"
    (file,) = [one.uri async for one in platform.east.bucket.list(folder) if one.uri.endswith("/inputs.pb")]
    assert LiteralMap.FromString(await platform.east.bucket.get(file)) == inputs


async def test_outputs_are_read_from_the_cluster_that_has_them(platform: Platform) -> None:
    """Through either replica, wherever the link ends; while the cluster is away the answer says which, and why."""
    task = await platform.register("data")
    name = await platform.launch(task, "data", "east")
    uri = (await platform.end_of(name)).closure.outputs.uri
    assert uri.startswith(f"{platform.east.bucket.prefix}/")
    request = WorkflowExecutionGetDataRequest(id=name)
    for admin, proxy in zip(platform.admins, platform.proxies, strict=True):
        data = await admin.GetExecutionData(request)
        assert data.full_outputs == integers(o0=1)
        assert fetch(data.outputs.url) == integers(o0=1).SerializeToString()
        located = await proxy.CreateDownloadLocation(CreateDownloadLocationRequest(native_url=uri))
        assert fetch(located.signed_url) == integers(o0=1).SerializeToString()
        with pytest.raises(PermissionError):
            fetch(located.signed_url[:-1] + "x")
    await platform.east.kill()
    await platform.operator.until("east", lambda found: found.state == pb.CLUSTER_STATE_LOST)
    for admin in platform.admins:
        with pytest.raises(grpc.aio.AioRpcError, match=r"cluster 'east'.*not connected since") as refused:
            await admin.GetExecutionData(request)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_logs_are_followed_through_either_replica(platform: Platform) -> None:
    """Wherever the link ends, what an attempt prints comes as it is printed, and ends with the attempt."""
    task = await platform.register("logs")
    platform.closed = True
    name = await platform.launch(task, "logs", "east")
    await platform.operator.until("east", lambda _: bool(platform.gates))
    (attempt,) = platform.gates
    node = NodeExecutionIdentifier(execution_id=name, node_id=attempt.split("/")[3])
    request = TailLogsRequest(node=node, follow=True)
    tails = [LogServiceStub(channel).TailLogs(request) for channel in platform.channels]
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert [list((await tail.read()).lines) for tail in tails] == [["begins in east"]] * 2
        platform.east.say(attempt, "goes on")
        assert [list((await tail.read()).lines) for tail in tails] == [["goes on"]] * 2
        platform.open_gates()
        assert [await tail.read() for tail in tails] == [grpc.aio.EOF] * 2
    for channel in platform.channels:
        last = [answer async for answer in LogServiceStub(channel).TailLogs(TailLogsRequest(node=node, lines=1))]
        assert [list(answer.lines) for answer in last] == [["goes on"]]
        with pytest.raises(grpc.aio.AioRpcError, match="has no log") as refused:
            await LogServiceStub(channel).TailLogs(TailLogsRequest(node=node, retry_attempt=7)).read()
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    await platform.end_of(name)
    options = ["--endpoint", platform.replicas[0].address, "--insecure"]
    printed = await asyncio.to_thread(run_command, ["logs", f"{PROJECT}/{DOMAIN}/logs", *options])
    assert printed == (0, "begins in east\ngoes on\n")


def run_command(arguments: list[str]) -> tuple[int, str]:
    """Run flyteform; return its exit code and what it prints."""
    ended = subprocess.run(
        [sys.executable, "-m", "flyteform.cli.main", *arguments], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


async def test_inputs_that_lie_in_the_other_cluster_are_copied(platform: Platform) -> None:
    """Work in west that takes an object of east's bucket gets a copy in its own; nobody else's store is touched."""
    source = f"{platform.east.bucket.prefix}/raw/table"
    for part in ("1", "2"):
        await platform.east.bucket.put(f"{source}/{part}", part.encode())
    spec = task_spec("blobs")
    spec.template.container.args[:] = ["run", "{{.outputPrefix}}"]
    spec.template.interface.inputs.variables["x"].type.CopyFrom(
        LiteralType(blob=BlobType(dimensionality=BlobType.MULTIPART))
    )
    await platform.admins[0].CreateTask(TaskCreateRequest(id=spec.template.id, spec=spec))
    blob = Blob(uri=source)
    blob.metadata.type.dimensionality = BlobType.MULTIPART
    request = ExecutionCreateRequest(
        project=PROJECT,
        domain=DOMAIN,
        name="copied",
        spec=ExecutionSpec(launch_plan=spec.template.id, execution_cluster_label=ExecutionClusterLabel(value="west")),
        inputs=LiteralMap(literals={"x": Literal(scalar=Scalar(blob=blob))}),
    )
    name = (await platform.admins[0].CreateExecution(request)).id
    assert (await platform.end_of(name)).closure.phase == SUCCEEDED
    inputs = f"{platform.west.bucket.prefix}/metadata/propeller/{PROJECT}-{DOMAIN}-copied/"
    seen = [one.uri async for one in platform.west.bucket.list(inputs) if one.uri.endswith("/inputs.pb")]
    copy = LiteralMap.FromString(await platform.west.bucket.get(seen[0])).literals["x"].scalar.blob.uri
    assert copy.startswith(f"{platform.west.bucket.prefix}/staged/")
    assert [await platform.west.bucket.get(f"{copy}/{part}") for part in ("1", "2")] == [b"1", b"2"]


async def test_what_a_dynamic_task_makes_runs_from_the_copy_of_its_code(platform: Platform) -> None:
    """The bundle lies with the control plane, which west cannot read: each attempt there has it from west's bucket."""
    storage = pb.StorageProfile(prefix=platform.east.bucket.prefix)
    await platform.operator.put("east", labels={"east": 1.0}, weight=0.0, storage=storage)
    where = ["--endpoint", platform.replicas[0].address, "--insecure", "--name", "unfolds"]
    file = str(Path(__file__).parent / "workflows" / "unfolding.py")
    ran = await asyncio.to_thread(run_command, ["run", "--remote", "--json", *where, file, "unfolding", "--n", "4"])
    assert ran[0] == 0, ran[1]
    name = WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name="unfolds")
    outputs = await platform.admins[1].GetExecutionData(WorkflowExecutionGetDataRequest(id=name))
    assert outputs.full_outputs == integers(o0=0 + 1 + 4 + 9)
    tasks = Counter(command[-1] for command in platform.commands)
    assert tasks == {"squares": 1, "square": 4, "total": 1}
    for command in platform.commands:
        bundle = command[command.index("--bundle") + 1]
        assert bundle.startswith(f"{platform.west.bucket.prefix}/staged/")
        assert await platform.west.bucket.head(bundle) is not None
    assert not platform.east.executions()


async def test_children_go_where_their_parent_is(platform: Platform) -> None:
    """Without a label: the data is there. When that cluster takes no work, another one does it."""
    task = await platform.register("parents")
    platform.closed = True
    west = pb.StorageProfile(prefix=platform.west.bucket.prefix)
    await platform.operator.put("west", labels={"west": 1.0}, weight=0.0, storage=west)
    parent = await platform.launch(task, "parent")
    await platform.operator.until("east", lambda _: bool(platform.gates))
    await platform.operator.put("west", labels={"west": 1.0}, weight=3.0, storage=west)
    (attempt,) = platform.gates
    node = NodeExecutionIdentifier(execution_id=parent, node_id=attempt.split("/")[3])
    await platform.until_known(node)
    near = [await platform.launch(task, f"near{at}", at=at % 2, parent=node) for at in range(8)]
    await platform.operator.until("east", lambda found: found.held == 9)
    await platform.operator.drain("east")
    away = [await platform.launch(task, f"away{at}", at=at % 2, parent=node) for at in range(3)]
    await platform.operator.until("west", lambda found: found.held == 3)
    platform.open_gates()
    await platform.all_succeed([parent, *near, *away])
    assert platform.west.executions() == {name.name for name in away}


async def execute(attempt: AttemptSpec) -> Broken:
    """Run the attempt's own command, which reads and writes its files; return how it has ended."""
    entry = (sys.executable, "-m", "flyteform.run", *attempt.command[1:])
    with TemporaryDirectory() as folder:
        running = await asyncio.create_subprocess_exec(
            *entry, cwd=folder, env={**os.environ, **attempt.environment}, stdin=asyncio.subprocess.DEVNULL
        )
        return Broken(exit_code=await running.wait())


async def test_a_cached_result_is_a_hit_where_its_data_can_be_read(platform: Platform) -> None:
    """One that names an object in east's bucket is there for east and for people, and a miss for west."""
    catalog: Any = DataCatalogStub(platform.channels[0])
    dataset = catalog_pb.DatasetID(project=PROJECT, domain=DOMAIN, name="cached", version="1")
    await catalog.CreateDataset(catalog_pb.CreateDatasetRequest(dataset=catalog_pb.Dataset(id=dataset)))
    blob = Literal(scalar=Scalar(blob=Blob(uri=f"{platform.east.bucket.prefix}/raw/x")))
    data = [catalog_pb.ArtifactData(name="o0", value=blob)]
    artifact = catalog_pb.Artifact(id="a", dataset=dataset, data=data)
    await catalog.CreateArtifact(catalog_pb.CreateArtifactRequest(artifact=artifact))
    request = catalog_pb.GetArtifactRequest(dataset=dataset, artifact_id="a")
    for metadata in ((), (("flyteform-cluster", "east"),)):
        assert (await catalog.GetArtifact(request, metadata=metadata)).artifact.data == data
    with pytest.raises(grpc.aio.AioRpcError, match="cannot read it") as missed:
        await catalog.GetArtifact(request, metadata=(("flyteform-cluster", "west"),))
    assert missed.value.code() is grpc.StatusCode.NOT_FOUND


async def test_no_cluster_may_say_that_the_other_s_bucket_is_its_own(platform: Platform, tmp_path: Path) -> None:
    """A data plane that registers with the store of another cluster is refused: it would be asked for its URLs."""
    await platform.west.kill()
    thief = Cluster("west", tmp_path / "thief", platform.west.target, lambda _: integers(o0=1))
    thief.bucket.close()
    thief.bucket = platform.east.bucket
    await thief.start()
    try:
        await platform.operator.until("west", lambda found: found.state == pb.CLUSTER_STATE_LOST)
        assert (await platform.operator.get("west")).storage.prefix == platform.west.bucket.prefix
    finally:
        await thief.kill()
