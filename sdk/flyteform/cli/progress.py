"""An execution as it goes: a live table of nodes on a terminal, a line for each change elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from flyteform.cli.wording import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform.client.watch import ExecutionState, NodeState

_STYLES = {
    "SUCCEEDED": "green",
    "RECOVERED": "green",
    "RUNNING": "cyan",
    "DYNAMIC_RUNNING": "cyan",
    "FAILING": "red",
    "FAILED": "red",
    "ABORTED": "red",
    "TIMED_OUT": "red",
    "QUEUED": "yellow",
}
_REFRESH_PER_SECOND = 8


class Display(Protocol):
    """Shows one snapshot after the other."""

    def show(self, state: ExecutionState) -> None:
        """Show the newest snapshot."""
        ...


@contextmanager
def display(console: Console | None = None) -> Iterator[Display]:
    """Show snapshots for as long as the block lasts; what a terminal shows last stays there."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        yield _Lines(console)
        return
    shown = _LiveTable()
    with Live(get_renderable=shown.table, console=console, refresh_per_second=_REFRESH_PER_SECOND) as live:
        yield shown
        live.refresh()


def node_table(state: ExecutionState, now: datetime) -> Table:
    """Return the nodes with phase, time, cache and attempts."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("node", "runs", "phase"):
        table.add_column(heading, header_style="dim")
    table.add_column("time", justify="right", header_style="dim")
    table.add_column("", header_style="dim")
    for node in state.nodes:
        # As text: what others say may have brackets, which are no markup.
        notes = Text(_notes(node))
        table.add_row(node.id, node.name, phase_text(node.phase), seconds_text(node.seconds(now)), notes)
    table.add_section()
    table.add_row(Text(state.name, style="bold"), "", phase_text(state.phase), seconds_text(state.seconds(now)), "")
    return table


def phase_text(phase: str) -> Text:
    """Return a phase in its colour."""
    return Text(phase, style=_STYLES.get(phase, ""))


def seconds_text(seconds: float | None) -> str:
    """Return a duration as people read it."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f} min {rest:02.0f} s" if minutes else f"{rest:.1f} s"


def _notes(node: NodeState) -> str:
    """Say what is out of the ordinary: cache, items of a map, attempts after the first, what it waits for."""
    notes = []
    if node.cache:
        notes.append(f"cache {node.cache}")
    if node.items is not None and node.items.total:
        failed = f", {node.items.failed} failed" if node.items.failed else ""
        notes.append(f"{node.items.done} of {node.items.total} items{failed}")
    if node.attempts > 1:
        notes.append(f"{node.attempts} attempts")
    if node.waits:
        notes.append(one_line(node.waits))
    return ", ".join(notes)


class _LiveTable:
    """Draws the newest snapshot; the clock of running nodes goes on between two of them."""

    def __init__(self) -> None:
        self._state: ExecutionState | None = None

    def show(self, state: ExecutionState) -> None:
        self._state = state

    def table(self) -> Table | Text:
        return Text("waiting …", style="dim") if self._state is None else node_table(self._state, datetime.now(UTC))


class _Lines:
    """Prints a line whenever the phase of the execution or of a node has changed, or what a node waits for."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phases: dict[str, str] = {}
        self._waits: dict[str, str] = {}

    def show(self, state: ExecutionState) -> None:
        now = datetime.now(UTC)
        for node in state.nodes:
            news = bool(node.waits) and self._waits.get(node.id) != node.waits
            if news or self._phases.get(node.id) != node.phase:
                self._phases[node.id], self._waits[node.id] = node.phase, node.waits
                self._print(f"{node.id} {node.name}", node.phase, node.seconds(now), _notes(node))
        if self._phases.get("") != state.phase:
            self._phases[""] = state.phase
            self._print(state.name, state.phase, state.seconds(now), "")

    def _print(self, what: str, phase: str, seconds: float | None, notes: str) -> None:
        details = ", ".join(part for part in (seconds_text(seconds), notes) if part)
        self._console.print(f"  {what}  {phase}" + (f"  ({details})" if details else ""), soft_wrap=True, markup=False)
