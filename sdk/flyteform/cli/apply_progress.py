"""An apply as it goes: a line for each step that has ended, and on a terminal what runs now below them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from flyteform.cli.render import print_lines, render_outcome
from flyteform.provision.apply import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flyteform.provision.apply import Outcome
    from flyteform.provision.model import Plan

_SHOWN = 5
_REFRESH_PER_SECOND = 8


@contextmanager
def showing(plan: Plan, console: Console | None = None) -> Iterator[Callable[[Outcome], None]]:
    """Return what is told of each step that begins or ends."""
    console = console or Console(highlight=False)
    if not console.is_terminal or not plan.has_changes:
        yield _print
        return
    steps = _Running(console, len(plan.steps))
    with Live(get_renderable=steps.text, console=console, refresh_per_second=_REFRESH_PER_SECOND, transient=True):
        yield steps.show


def _print(outcome: Outcome) -> None:
    if (line := render_outcome(outcome)) is not None:
        print_lines(line)


class _Running:
    """The steps that run now, and how many are over."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._ended = 0
        self._since: dict[str, float] = {}

    def show(self, outcome: Outcome) -> None:
        """Take in one outcome; a line for what has ended stays above."""
        name = f"{outcome.change.action.value} {outcome.change.address}"
        if outcome.status is Status.STARTED:
            self._since[name] = time.monotonic()
            return
        self._since.pop(name, None)
        self._ended += 1
        if (line := render_outcome(outcome)) is not None:
            self._console.print(line, soft_wrap=True)

    def text(self) -> Text:
        """Return how far it is."""
        now = time.monotonic()
        lines = [f"  {self._ended} of {self._total} steps"]
        lines += [f"  … {name}  {now - since:.0f} s" for name, since in list(self._since.items())[:_SHOWN]]
        if len(self._since) > _SHOWN:
            lines.append(f"  … and {len(self._since) - _SHOWN} more")
        return Text("\n".join(lines), style="dim")
