"""Children that wait for their attempt, and how the end of an attempt is known before its process is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from support.attempts import alive, parent_of, until

if TYPE_CHECKING:
    from support.attempts import Bench, Run


async def pid_of(run: Run) -> int:
    """Return the process of an attempt that prints it first."""
    await until(lambda: bool(run.updates) and bool(run.log.strip()))
    return int(run.log.split()[0])


def spare_of(template: int, known: set[int]) -> int | None:
    """Return the child of a template that is none of these."""
    children = set(map(int, Path(f"/proc/{template}/task/{template}/children").read_text().split())) - known
    return next(iter(children), None)


async def wait_for_spare(bench: Bench) -> int:
    """Return the child that waits for the next attempt, after one that has ended."""
    first = await bench.warm("import os; print(os.getpid(), os.getppid(), flush=True)").start()
    await first.end()
    pid, template = map(int, first.log.split())
    await until(lambda: not Path(f"/proc/{pid}").exists())
    await until(lambda: spare_of(template, set()) is not None)
    return spare_of(template, set()) or 0


async def test_the_next_attempt_has_been_forked_already(bench: Bench) -> None:
    """It runs in the child that was waiting, and another one waits after it."""
    waiting = await wait_for_spare(bench)
    run = await bench.warm("import os, time; print(os.getpid(), flush=True); time.sleep(600)").start()
    assert await pid_of(run) == waiting
    template = parent_of(waiting)
    await until(lambda: spare_of(template, {waiting}) is not None)


async def test_a_waiting_child_that_is_killed_costs_no_attempt(bench: Bench) -> None:
    """The next attempt gets another process."""
    waiting = await wait_for_spare(bench)
    os.kill(waiting, signal.SIGKILL)
    await until(lambda: not alive(waiting))
    run = await bench.warm("print('ran')").start()
    assert (await run.end()).exit_code == 0
    assert run.log.split() == ["ran"]


async def test_a_fork_of_an_attempt_does_not_end_it(bench: Bench) -> None:
    """A child that comes to the end of the program as a child says nothing of the attempt's end."""
    run = await bench.warm(
        "import os, sys, time\nif os.fork() == 0:\n    sys.exit(7)\nos.wait()\ntime.sleep(0.2)\nsys.exit(3)"
    ).start()
    assert (await run.end()).exit_code == 3


async def test_threads_and_exit_functions_come_before_the_end(bench: Bench) -> None:
    """What a program does after its last line is done when its end is told."""
    run = await bench.warm(
        "import atexit, threading, time\natexit.register(print, 'last')\n"
        "threading.Thread(target=lambda: (time.sleep(0.2), print('thread'))).start()"
    ).start()
    assert (await run.end()).exit_code == 0
    assert run.log.split() == ["thread", "last"]


async def test_ends_in_a_row_are_told_once_each(bench: Bench) -> None:
    """Many ends in a row are each told once, with their own exit codes, and no process is left."""
    code = "import os, sys; print(os.getpid(), flush=True); sys.exit({})"
    runs = [await bench.warm(code.format(number)).start() for number in range(12)]
    assert [(await run.end()).exit_code for run in runs] == list(range(12))
    assert all(len([update for update in run.updates if update.exit_code is not None]) == 1 for run in runs)
    pids = [int(run.log.split()[0]) for run in runs]
    await until(lambda: not any(map(alive, pids)))
