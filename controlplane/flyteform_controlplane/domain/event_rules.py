"""The rules that events of executions, nodes and attempts share, with the details that data planes parse."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from flyteidl.admin.event_pb2 import EventFailureReason

from flyteform_controlplane.errors import EntityExistsError, FailedPreconditionError

if TYPE_CHECKING:
    from flyteform_controlplane.domain.records import ExecutionRecord

# What Flyte's data plane calls itself when it has no cluster name.
_UNNAMED = frozenset({"", "propeller"})


def is_anonymous(producer_id: str) -> bool:
    """Say whether the sender does not name its cluster."""
    return producer_id in _UNNAMED


def check_cluster(record: ExecutionRecord, producer_id: str) -> None:
    """Refuse the report of a cluster that does not hold the execution."""
    if is_anonymous(producer_id) or not record.cluster or producer_id == record.cluster:
        return
    reason = EventFailureReason()
    reason.incompatible_cluster.cluster = producer_id
    raise FailedPreconditionError(
        f"execution {record.execution_name} runs on cluster {record.cluster}, not on {producer_id}", details=(reason,)
    )


def refuse_repeated(phase: str, what: str) -> NoReturn:
    """Answer an event that was recorded before."""
    raise EntityExistsError(f"phase {phase} was already recorded for {what}")


def refuse_terminal(phase: str, what: str) -> NoReturn:
    """Answer an event, or a request to abort, for what has ended."""
    reason = EventFailureReason()
    reason.already_in_terminal_state.current_phase = phase
    raise FailedPreconditionError(f"{what} is already in terminal phase {phase}", details=(reason,))
