"""Leases that name what lies elsewhere: fetched and copied before they are accepted."""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier
from flyteidl.core.literals_pb2 import Blob, Literal, LiteralMap, Primitive, Scalar

from flyteform.errors import UnavailableError
from flyteform.objects.local import LocalStore
from flyteform.proto.flyteform.v1.link_pb2 import Ack, Lease
from flyteform_dataplane.intake import Intake
from flyteform_dataplane.staging import make_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUNDLE = "s3://control/uploads/p/d/abc/code.tar.gz"
FOLDER = "s3://west/raw/p/d/e/table"


class Elsewhere:
    """An HTTP server that has what was put there; the query of every URL is asked for."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.gets: list[str] = []
        self.open = threading.Event()
        self.open.set()
        elsewhere = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                elsewhere.open.wait(60)
                elsewhere.gets.append(self.path)
                content = elsewhere.objects.get(self.path)
                self.send_response(403 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)

    def put(self, path: str, content: bytes) -> str:
        """Return a signed URL of the content."""
        self.objects[f"/{path}?signature=secret"] = content
        return f"http://127.0.0.1:{self.server.server_port}/{path}?signature=secret"


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Serve it while the test lasts."""
    server = Elsewhere()
    server.thread.start()
    yield server
    server.open.set()
    server.server.shutdown()
    server.thread.join()
    server.server.server_close()


@pytest.fixture
def own(tmp_path: Path) -> LocalStore:
    """Give the data plane's own store."""
    return LocalStore(f"file://{tmp_path}/own")


def closure(uri: str) -> CompiledWorkflowClosure:
    """Return a closure whose only task is run from a bundle."""
    made = CompiledWorkflowClosure()
    container = made.tasks.add().template.container
    container.args.extend(["run", "--bundle", uri, f"--again={uri}", "s3://public/model"])
    container.env.add(key="DISTRIBUTION", value=uri)
    return made


def blob(uri: str) -> Literal:
    """Return a literal that names an object."""
    return Literal(scalar=Scalar(blob=Blob(uri=uri)))


async def test_large_parts_are_fetched_by_their_urls(elsewhere: Elsewhere, own: LocalStore) -> None:
    """The whole lease has them in it, and no URL any more: those are secrets, and end."""
    inputs = LiteralMap(literals={"x": Literal(scalar=Scalar(primitive=Primitive(string_value="y" * 5_000_000)))})
    lease = Lease(
        epoch=3,
        closure_url=elsewhere.put("closure", closure("b").SerializeToString()),
        inputs_url=elsewhere.put("inputs", inputs.SerializeToString()),
    )
    whole = await make_whole(lease, own)
    assert (whole.closure, whole.inputs, whole.epoch) == (closure("b"), inputs, 3)
    assert b"secret" not in whole.SerializeToString()


async def test_what_the_cluster_cannot_read_is_copied_and_named_anew(elsewhere: Elsewhere, own: LocalStore) -> None:
    """Bundles in commands and environment, objects and folders in inputs; what lies elsewhere stays as it is."""
    lease = Lease(closure=closure(BUNDLE))
    lease.inputs.literals["table"].CopyFrom(blob(FOLDER))
    lease.inputs.literals["text"].scalar.primitive.string_value = FOLDER
    lease.inputs.literals["public"].CopyFrom(blob("s3://public/data"))
    lease.staging.add(uri=BUNDLE).objects.add(signed_url=elsewhere.put("b", b"code"), size=4)
    folder = lease.staging.add(uri=FOLDER)
    for name in ("1", "sub/2"):
        folder.objects.add(path=name, signed_url=elsewhere.put(name, name.encode()), size=len(name))
    whole = await make_whole(lease, own)
    bundle, table = (staging.staged_uri for staging in whole.staging)
    container = whole.closure.tasks[0].template.container
    assert list(container.args) == ["run", "--bundle", bundle, f"--again={bundle}", "s3://public/model"]
    assert container.env[0].value == bundle
    assert whole.inputs.literals["table"].scalar.blob.uri == table
    assert whole.inputs.literals["text"].scalar.primitive.string_value == FOLDER
    assert whole.inputs.literals["public"].scalar.blob.uri == "s3://public/data"
    assert bundle.startswith(f"{own.prefix}/staged/")
    assert bundle.endswith("/code.tar.gz")
    assert [await own.get(uri) for uri in (bundle, f"{table}/1", f"{table}/sub/2")] == [b"code", b"1", b"sub/2"]


async def test_what_was_copied_is_not_copied_again(elsewhere: Elsewhere, own: LocalStore) -> None:
    """The bundle of a second execution is there already: nothing is fetched."""
    lease = Lease(closure=closure(BUNDLE))
    lease.staging.add(uri=BUNDLE).objects.add(signed_url=elsewhere.put("b", b"code"), size=4)
    await make_whole(lease, own)
    await make_whole(lease, own)
    assert len(elsewhere.gets) == 1


async def test_what_cannot_be_fetched_is_said_without_its_signature(elsewhere: Elsewhere, own: LocalStore) -> None:
    """A refused URL, and a server that is not there: an error that trying again may heal, with no secret in it."""
    url = elsewhere.put("closure", b"x")
    elsewhere.objects.clear()
    for bad in (url, "http://127.0.0.1:1/closure?signature=secret"):
        with pytest.raises(UnavailableError, match="cannot be fetched") as refused:
            await make_whole(Lease(closure_url=bad), own)
        assert "secret" not in str(refused.value)
    with pytest.raises(UnavailableError, match="cannot be read"):
        await make_whole(Lease(closure_url=elsewhere.put("closure", b"\xff\xff")), own)


class Taken:
    """Who runs executions."""

    def __init__(self) -> None:
        self.accepted: list[Lease] = []
        self.revoked: list[str] = []

    async def accept(self, lease: Lease) -> None:
        """Note it."""
        self.accepted.append(lease)

    async def abort(self, execution: WorkflowExecutionIdentifier, cause: str) -> None:
        """Do nothing."""

    async def revoke(self, execution: WorkflowExecutionIdentifier) -> None:
        """Note it."""
        self.revoked.append(execution.name)

    def held(self) -> list[WorkflowExecutionIdentifier]:
        """Return nothing."""
        return []


async def test_a_lease_that_fetches_holds_up_nobody_and_acknowledges_its_newest_offer(
    elsewhere: Elsewhere, own: LocalStore
) -> None:
    """While one is copied others are accepted; offered again meanwhile, it is taken once, under the last epoch."""
    taken, acks = Taken(), list[Ack]()
    intake = Intake(taken, own)
    elsewhere.open.clear()
    slow = Lease(id=WorkflowExecutionIdentifier(name="slow"), epoch=1)
    slow.closure_url = elsewhere.put("closure", closure("b").SerializeToString())
    await intake.take(slow, acks.append)
    await intake.take(Lease(id=WorkflowExecutionIdentifier(name="quick"), epoch=1), acks.append)
    async with asyncio.timeout(30):
        while not acks:  # noqa: ASYNC110 - told by a list
            await asyncio.sleep(0.005)
    assert [ack.id.name for ack in acks] == ["quick"]
    slow.epoch = 2
    await intake.take(slow, acks.append)
    elsewhere.open.set()
    async with asyncio.timeout(30):
        while len(acks) < 2:  # noqa: ASYNC110 - told by a list
            await asyncio.sleep(0.005)
    assert [(ack.id.name, ack.epoch) for ack in acks] == [("quick", 1), ("slow", 2)]
    assert [lease.id.name for lease in taken.accepted] == ["quick", "slow"]
    assert len(elsewhere.gets) == 1
    await intake.close()


async def test_what_is_revoked_while_it_is_fetched_is_never_accepted(elsewhere: Elsewhere, own: LocalStore) -> None:
    """The execution is another's: nothing of it is taken over."""
    taken, acks = Taken(), list[Ack]()
    intake = Intake(taken, own)
    elsewhere.open.clear()
    lease = Lease(id=WorkflowExecutionIdentifier(name="e"), closure_url=elsewhere.put("closure", b""))
    await intake.take(lease, acks.append)
    await intake.revoke(lease.id)
    elsewhere.open.set()
    await intake.close()
    assert (taken.accepted, acks, taken.revoked) == ([], [], ["e"])
