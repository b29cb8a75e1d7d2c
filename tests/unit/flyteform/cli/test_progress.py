"""What people see of an execution as it goes."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from flyteform.cli.progress import display, node_table
from flyteform.client.watch import ExecutionState, NodeState

WAITING = ExecutionState(
    "e", "RUNNING", (NodeState("n0", "train", "QUEUED", waits="no room [quota q]\n\x1b[2Jfor it"),)
)
RUNNING = ExecutionState("e", "RUNNING", (NodeState("n0", "train", "RUNNING"),))


def test_a_line_says_what_a_node_waits_for() -> None:
    """Once, in one line, and as it is written: neither markup nor what a terminal acts on."""
    written = io.StringIO()
    with display(Console(file=written, width=200)) as shown:
        for state in (WAITING, WAITING, RUNNING):
            shown.show(state)
    lines = [line.strip() for line in written.getvalue().splitlines()]
    assert [line for line in lines if line.startswith("n0")] == [lines[0], "n0 train  RUNNING"]
    assert lines[0].startswith("n0 train  QUEUED  (no room [quota q] ")
    assert "\x1b" not in lines[0]


def test_a_reason_that_changes_is_a_line_of_its_own() -> None:
    """The phase is the same, what it waits for is news."""
    written = io.StringIO()
    other = ExecutionState("e", "RUNNING", (NodeState("n0", "train", "QUEUED", waits="no image"),))
    with display(Console(file=written, width=200)) as shown:
        shown.show(WAITING)
        shown.show(other)
    assert "n0 train  QUEUED  (no image)" in written.getvalue()


def test_the_table_has_it_too() -> None:
    """Next to the node, where cache and attempts are."""
    console = Console(file=io.StringIO(), width=200, record=True)
    console.print(node_table(WAITING, datetime.now(UTC)))
    assert "no room [quota q]" in console.export_text()
