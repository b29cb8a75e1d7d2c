"""Leases are accepted beside each other, and what is asked meanwhile of one of them is not lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.proto.flyteform.v1.link_pb2 import Ack, Lease
from flyteform_dataplane.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Sequence


class Slow:
    """Executions that are accepted when a test says so."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.done: list[str] = []

    async def accept(self, lease: Lease) -> None:
        """Wait, and accept."""
        await self.open.wait()
        self.done.append(f"accept {lease.id.name}")

    async def abort(self, execution: WorkflowExecutionIdentifier, cause: str) -> None:
        """Note it."""
        self.done.append(f"abort {execution.name}: {cause}")

    async def revoke(self, execution: WorkflowExecutionIdentifier) -> None:
        """Note it."""
        self.done.append(f"revoke {execution.name}")

    def held(self) -> Sequence[WorkflowExecutionIdentifier]:
        """Return nothing."""
        return ()


def _lease(name: str, epoch: int = 1) -> Lease:
    return Lease(id=WorkflowExecutionIdentifier(name=name), epoch=epoch)


async def test_what_comes_while_a_lease_is_accepted() -> None:
    """An abort waits for the acceptance, a revocation ends it, and a newer offer is what is acknowledged."""
    slow, acks = Slow(), list[Ack]()
    intake = Intake(slow, None)
    for name in ("a", "b", "c"):
        await intake.take(_lease(name), acks.append)
    await asyncio.sleep(0)
    await intake.abort(WorkflowExecutionIdentifier(name="a"), "enough")
    await intake.abort(WorkflowExecutionIdentifier(name="x"), "not on its way")
    await intake.revoke(WorkflowExecutionIdentifier(name="b"))
    await intake.take(_lease("c", 2), acks.append)
    slow.open.set()
    async with asyncio.timeout(30):
        while len(slow.done) < 5:  # noqa: ASYNC110 - told by a list
            await asyncio.sleep(0.005)
    assert sorted(slow.done) == [
        "abort a: enough",
        "abort x: not on its way",
        "accept a",
        "accept c",
        "revoke b",
    ]
    assert slow.done.index("accept a") < slow.done.index("abort a: enough")
    assert {(ack.id.name, ack.epoch) for ack in acks} == {("a", 1), ("c", 2)}
    await intake.close()
