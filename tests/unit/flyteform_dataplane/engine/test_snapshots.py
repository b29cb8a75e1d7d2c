"""Snapshots that older versions took are read by this one."""

from __future__ import annotations

import msgpack  # type: ignore[import-untyped]
import pytest

from flyteform_dataplane.engine.changes import NodeChanged, decode, encode
from flyteform_dataplane.engine.observations import AttemptRunning, AttemptSucceeded, Started
from flyteform_dataplane.engine.phases import NodePhase, WorkflowPhase
from flyteform_dataplane.engine.snapshots import restore, take
from support.closures import Flow
from support.engine import Engine


@pytest.mark.parametrize(("top", "row"), [(6, 4), (6, 5), (8, 6)], ids=["first", "with children", "today"])
def test_an_older_snapshot_goes_on(top: int, row: int) -> None:
    """What an older version did not write has its first value, and the execution goes on to its end."""
    engine = Engine(Flow().task("a").task("b", after=["a"]))
    engine.see(Started(1), AttemptRunning("a", 0, 0, 2))
    written = msgpack.unpackb(take(engine.state))
    assert len(written) == 8
    older = written[:top]
    older[5] = {name: values[:row] for name, values in older[5].items()}
    engine.state = restore(msgpack.packb(older))
    engine.see(AttemptSucceeded("a", 0, 0, 3), AttemptSucceeded("b", 0, 0, 4))
    assert engine.phase("b") is NodePhase.SUCCEEDED
    assert engine.state.phase is WorkflowPhase.SUCCEEDING


def test_an_older_change_is_read() -> None:
    """Fields that were added to a change later have their defaults."""
    rows = msgpack.unpackb(encode([NodeChanged("a", NodePhase.QUEUED, NodePhase.STARTING, 1.0, 2)]))
    assert decode(msgpack.packb([rows[0][:5]])) == [NodeChanged("a", NodePhase.QUEUED, NodePhase.STARTING, 1.0)]
