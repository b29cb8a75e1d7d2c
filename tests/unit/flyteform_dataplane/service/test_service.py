"""What the link makes the runner and the reporter do together."""

from __future__ import annotations

from dataclasses import dataclass, field

from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

from flyteform.proto.flyteform.v1.events_pb2 import Event
from flyteform.proto.flyteform.v1.link_pb2 import Lease
from flyteform_dataplane.channel import open_channel
from flyteform_dataplane.report import EventReporter
from flyteform_dataplane.service import LeasedExecutions
from support.attempts import until

EXECUTION = WorkflowExecutionIdentifier(project="p", domain="d", name="e1")


@dataclass
class Runner:
    """Notes what it is told."""

    told: list[tuple[str, str]] = field(default_factory=list)

    async def accept(self, lease: Lease) -> None:
        """Note the lease."""
        self.told.append(("accept", lease.id.name))

    async def abort(self, execution: WorkflowExecutionIdentifier, cause: str) -> None:
        """Note the abort."""
        assert cause
        self.told.append(("abort", execution.name))

    def held(self) -> list[WorkflowExecutionIdentifier]:
        """Return what it holds."""
        return [EXECUTION]


async def test_a_revoked_execution_is_ended_without_a_word() -> None:
    """It is aborted here, and its events count as acknowledged though no control plane can be reached."""
    acknowledged: list[int] = []

    async def note(_: WorkflowExecutionIdentifier, sequence: int) -> None:
        acknowledged.append(sequence)

    async with open_channel("127.0.0.1:1") as channel:
        reporter, runner = EventReporter(channel), Runner()
        reporter.on_acknowledged(note)
        reporter.start()
        executions = LeasedExecutions(runner, reporter)  # type: ignore[arg-type] # all that is called of the runner
        await executions.accept(Lease(id=EXECUTION))
        reporter.send(EXECUTION, [(1, Event())])
        await executions.revoke(EXECUTION)
        reporter.send(EXECUTION, [(2, Event())])
        await until(lambda: 2 in acknowledged)
        await reporter.stop()
    assert runner.told == [("accept", "e1"), ("abort", "e1")]
    assert executions.held() == [EXECUTION]
