"""Dispatch served over a real channel, with data planes that a test can let come, go, die, forget and lag."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
from flyteidl.admin.execution_pb2 import ExecutionSpec
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier
from flyteidl.core.literals_pb2 import Literal, LiteralMap, Primitive, Scalar
from sqlalchemy import insert, select, update

from flyteform.proto.flyteform.v1 import link_pb2
from flyteform.proto.flyteform.v1.link_pb2_grpc import DataPlaneLinkStub
from flyteform_controlplane.dispatch.config import DispatchConfig
from flyteform_controlplane.dispatch.dispatcher import Dispatcher
from flyteform_controlplane.domain.ports import ExecutionKey
from flyteform_controlplane.services.link import LinkService
from flyteform_controlplane.store.database import Database
from flyteform_controlplane.store.migrate import migrate
from flyteform_controlplane.store.tables import executions, workflows
from flyteform_controlplane.store.tables_duties import clusters, dispatches
from flyteform_controlplane.transport.grpc_server import GrpcServer
from flyteform_controlplane.transport.interceptors import STANDARD
from flyteform_controlplane.transport.methods import Service, methods_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Select

    from flyteform.objects.local import LocalStore

START = datetime(2024, 5, 1, tzinfo=UTC)
DEADLINE_SECONDS = 60
CLOSURE = CompiledWorkflowClosure()
CLOSURE.primary.template.id.CopyFrom(Identifier(name="wf", version="v1"))
INPUTS = LiteralMap(literals={"x": Literal(scalar=Scalar(primitive=Primitive(integer=1)))})
# A lease ends before its data plane's silence counts.
CONFIG = DispatchConfig(lease_ttl=timedelta(seconds=10), poll_interval=timedelta(milliseconds=20))


def identifier(key: ExecutionKey) -> WorkflowExecutionIdentifier:
    """Return the message that names the execution."""
    return WorkflowExecutionIdentifier(project=key.project, domain=key.domain, name=key.name)


class FakeDataPlane:
    """The far end of one stream."""

    def __init__(self, channel: grpc.aio.Channel, *, ack: bool = True) -> None:
        self._call: Any = DataPlaneLinkStub(channel).Connect()
        self._acks = ack

    async def register(self, cluster: str, *labels: str, held: tuple[ExecutionKey, ...] = ()) -> link_pb2.Registered:
        """Introduce itself and return the answer."""
        ids = [identifier(key) for key in held]
        await self.send(register=link_pb2.Register(cluster=cluster, labels=labels, held=ids, version="1"))
        return (await self.next()).registered

    async def send(self, **message: Any) -> None:
        """Send one message."""
        await self._call.write(link_pb2.FromDataPlane(**message))

    async def next(self) -> link_pb2.ToDataPlane:
        """Return the next message, in time."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            message = await self._call.read()
        assert isinstance(message, link_pb2.ToDataPlane), f"the stream has ended: {self._call}"
        return message

    async def lease(self) -> link_pb2.Lease:
        """Return the next message, a lease, acknowledged if this data plane does so."""
        message = await self.next()
        assert message.WhichOneof("message") == "lease", message
        if self._acks:
            await self.ack(message.lease)
        return message.lease

    async def ack(self, lease: link_pb2.Lease) -> None:
        """Acknowledge."""
        await self.send(ack=link_pb2.Ack(id=lease.id, epoch=lease.epoch))

    async def ended(self) -> grpc.StatusCode:
        """Return the status with which the control plane ended the stream."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            with suppress(grpc.aio.AioRpcError):
                while (await self._call.read()) is not grpc.aio.EOF:
                    pass
            code: grpc.StatusCode = await self._call.code()
            return code

    def die(self) -> None:
        """Break the stream without a word."""
        self._call.cancel()


@asynccontextmanager
async def migrated(folder: Path) -> AsyncIterator[Database]:
    """Give a database of its own in a folder."""
    database = Database(f"sqlite:///{folder}/control.db")
    await migrate(database)
    yield database
    await database.close()


class World:
    """A control plane's dispatch behind a real server, with a clock that the test sets."""

    def __init__(self, database: Database, objects: LocalStore) -> None:
        self.time = START
        self.database = database
        self.objects = objects
        self.dispatcher = Dispatcher(database, objects, CONFIG, now=lambda: self.time)
        self.channel: grpc.aio.Channel

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the block lasts."""
        descriptor = link_pb2.DESCRIPTOR.services_by_name["DataPlaneLink"]
        server = GrpcServer(methods_of([Service(descriptor, LinkService(self.dispatcher))], STANDARD))
        port = await server.start("127.0.0.1:0")
        await self.dispatcher.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as self.channel:
            yield
        await self.dispatcher.stop()
        await server.stop(1)

    def data_plane(self, *, ack: bool = True) -> FakeDataPlane:
        """Open a stream."""
        return FakeDataPlane(self.channel, ack=ack)

    async def create(self, name: str = "e1", label: str = "", spec: ExecutionSpec | None = None) -> ExecutionKey:
        """Create an execution and queue it in one transaction, as the service does."""
        key = ExecutionKey("flytesnacks", "development", name)
        prefix = f"{self.objects.prefix}/metadata"
        await self.objects.put(f"{prefix}/closure", CLOSURE.SerializeToString())
        await self.objects.put(f"{prefix}/{name}/inputs", INPUTS.SerializeToString())
        times = {"created_at": self.time, "updated_at": self.time}
        workflow = {"project": key.project, "domain": key.domain, "name": f"wf-{name}", "version": "v1"}
        columns = {"typed_interface": b"", "remote_closure_identifier": f"{prefix}/closure", "digest": b""}
        async with self.database.transaction() as tx:
            made = await tx.execute(insert(workflows).values(**workflow, **columns, **times))
            await tx.execute(
                insert(executions).values(
                    execution_project=key.project,
                    execution_domain=key.domain,
                    execution_name=key.name,
                    workflow_id=made.inserted_primary_key[0],
                    phase="UNDEFINED",
                    closure=b"",
                    spec=(spec or ExecutionSpec(max_parallelism=7)).SerializeToString(),
                    inputs_uri=f"{prefix}/{name}/inputs",
                    **times,
                )
            )
            await self.dispatcher.enqueue(tx, key, cluster_label=label)
        self.dispatcher.wake()
        return key

    async def abort(self, key: ExecutionKey, cause: str = "enough") -> bool:
        """Abort as the service does."""
        async with self.database.transaction() as tx:
            held = await self.dispatcher.abort(tx, key, cause)
        self.dispatcher.wake()
        return held

    async def end(self, key: ExecutionKey, phase: str) -> None:
        """Write a phase, as the data plane's event would."""
        async with self.database.transaction() as tx:
            same = executions.c.execution_name == key.name
            await tx.execute(update(executions).where(same).values(phase=phase))

    async def value(self, statement: Select[Any]) -> Any:
        """Return one value from the database."""
        async with self.database.reading() as tx:
            return (await tx.execute(statement)).scalar()

    async def state(self, key: ExecutionKey) -> str | None:
        """Return where the execution is, None if it is forgotten."""
        state: str | None = await self.value(select(dispatches.c.state).where(dispatches.c.execution_name == key.name))
        return state

    async def until_value(self, statement: Select[Any], expected: object) -> None:
        """Wait until the database has that value."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            while await self.value(statement) != expected:  # noqa: ASYNC110 - a database has no event to wait for
                await asyncio.sleep(0.005)

    async def until(self, key: ExecutionKey, state: str | None) -> None:
        """Wait until the execution is there."""
        await self.until_value(select(dispatches.c.state).where(dispatches.c.execution_name == key.name), state)

    async def until_cluster(self, name: str, state: str) -> None:
        """Wait until the cluster has that state."""
        await self.until_value(select(clusters.c.state).where(clusters.c.name == name), state)
