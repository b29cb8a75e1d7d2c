"""Attempts as real processes: how they start, what they see, how they end and what is left of them."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.ports import AttemptPhase, Limits
from flyteform_dataplane.process.executor import ProcessExecutor
from support.attempts import alive, parent_of, until

if TYPE_CHECKING:
    from pathlib import Path

    from support.attempts import Bench, Run

EXITED, LOST, RUNNING = AttemptPhase.EXITED, AttemptPhase.LOST, AttemptPhase.RUNNING

# A task that starts a child which leaves its session, both writing their process ids, then waits.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)
print(os.getpid(), child.pid, flush=True)
{then}
"""

# A data plane that runs one such task, and is there to be killed.
DATA_PLANE = """
import asyncio, sys
from pathlib import Path
from flyteform_dataplane.ports import AttemptSpec
from flyteform_dataplane.process.executor import ProcessExecutor
async def main():
    executor = ProcessExecutor(Path({state!r}))
    await executor.open()
    spec = AttemptSpec("execution/n0/0", "", (sys.executable, "-c", {task!r}), {{}})
    await executor.start(spec, lambda update: None)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def family(run: Run) -> list[int]:
    """Return the process ids that a FAMILY task has written."""
    await run.running()
    await until(lambda: len(run.log.split()) == 2)
    return [int(word) for word in run.log.split()]


@pytest.mark.parametrize("way", ["warm", "cold"])
async def test_an_attempt_runs_and_reports(bench: Bench, way: str) -> None:
    """Forked or started, an attempt is seen running, then ended with its exit code, and its output is in its log."""
    run = await getattr(bench, way)("import sys; print('hello'); print('oops', file=sys.stderr); sys.exit(3)").start()
    ended = await run.end()
    assert [update.phase for update in run.updates] == [RUNNING, EXITED]
    assert (ended.exit_code, ended.reason, ended.user_error) == (3, "", False)
    assert run.log.split() == ["hello", "oops"]
    assert ended.log_uri.endswith("/logs/execution/n0/1.log")


@pytest.mark.parametrize("way", ["warm", "cold"])
async def test_an_uncaught_exception_is_exit_code_1(bench: Bench, way: str) -> None:
    """A traceback goes to the log, as in any program."""
    run = await getattr(bench, way)("raise ValueError('boom')").start()
    assert (await run.end()).exit_code == 1
    assert "ValueError: boom" in run.log


async def test_a_forked_program_ends_as_programs_do(bench: Bench) -> None:
    """Threads are waited for and exit functions run before a warm attempt ends."""
    code = """
import atexit, threading, time
atexit.register(lambda: print('exit function'))
threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()
print('main', end=' ')
"""
    run = await bench.warm(code).start()
    assert (await run.end()).exit_code == 0
    assert run.log.split() == ["main", "thread", "exit", "function"]


async def test_nothing_of_one_warm_attempt_reaches_the_next(bench: Bench) -> None:
    """Globals, environment, directory, random state and files of a former attempt are not there."""
    code = """
import os, sys, random, tempfile, flyteform.run as module
print(module.value, os.environ.get('LEAK'), os.listdir('.'), random.random(), os.getcwd(), tempfile.gettempdir())
module.value = 'changed'
os.environ['LEAK'] = 'leaked'
open('file', 'w').close()
"""
    first = await bench.warm(code).start()
    await first.end()
    second = await bench.warm(code).start()
    await second.end()
    for run in (first, second):
        assert run.log.startswith("untouched None [] ")
    assert set(first.log.split()[3:]).isdisjoint(second.log.split()[3:])


@pytest.mark.parametrize("way", ["warm", "cold"])
async def test_the_environment_is_the_specification(bench: Bench, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """An attempt sees what its specification gives, and nothing of the platform's own environment but the basics."""
    monkeypatch.setenv("PLATFORM_SECRET", "hidden")
    code = "import os; print(os.environ.get('PLATFORM_SECRET'), os.environ['GIVEN'], 'PATH' in os.environ)"
    run = await getattr(bench, way)(code, environment={"GIVEN": "given"}).start()
    await run.end()
    assert run.log.split() == ["None", "given", "True"]


async def test_a_variable_that_is_read_at_the_start_makes_an_attempt_start_cold(bench: Bench) -> None:
    """What a fork could not honour any more is honoured by an interpreter of its own."""
    run = await bench.attempt(
        "python", "-c", "import sys; print(sys.flags.optimize)", environment={"PYTHONOPTIMIZE": "2"}
    ).start()
    await run.end()
    assert run.log.split() == ["2"]


async def test_an_attempt_has_no_descriptor_of_the_template(bench: Bench) -> None:
    """Only the standard streams are open in a warm attempt."""
    run = await bench.warm("import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])").start()
    await run.end()
    assert run.log.strip() == "[0, 1, 2]"


async def test_starting_twice_starts_once(bench: Bench) -> None:
    """A second start watches the first, and one after the end is told the end."""
    first = await bench.warm("print('once'); import time; time.sleep(0.2)", name="execution/n0/0").start()
    again = await bench.warm("print('twice')", name="execution/n0/0").start()
    await first.end()
    await again.end()
    late = await bench.warm("print('thrice')", name="execution/n0/0").start()
    assert late.updates == first.updates[-1:] == again.updates[-1:]
    assert first.log.split() == ["once"]


async def test_attempts_beyond_the_bound_wait_in_order(bench: Bench, tmp_path: Path) -> None:
    """With room for two, the third starts when one of them has ended, and the fourth after it."""
    gate = tmp_path / "gate"
    code = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    runs = [await bench.cold(code).start() for _ in range(4)]
    await runs[1].running()
    assert [bool(run.updates) for run in runs] == [True, True, False, False]
    gate.touch()
    for run in runs:
        assert (await run.end()).exit_code == 0
    assert runs[2].updates[0].at <= runs[3].updates[0].at


@pytest.mark.parametrize("way", ["warm", "cold"])
async def test_stop_ends_the_whole_tree(bench: Bench, way: str) -> None:
    """Also a grandchild in a session of its own is gone when `stop` returns."""
    run = await getattr(bench, way)(FAMILY.format(then="time.sleep(600)")).start()
    pids = await family(run)
    await bench.executor.stop(run.spec.name)
    assert [alive(pid) for pid in pids] == [False, False]
    assert (run.updates[-1].phase, run.updates[-1].exit_code) == (EXITED, -signal.SIGTERM)


async def test_stop_kills_what_ignores_the_kind_signal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that ignores SIGTERM dies of SIGKILL after the grace period."""
    monkeypatch.setattr("flyteform_dataplane.process.executor.STOP_GRACE", 0.1)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(600)"
    run = await bench.warm(code).start()
    await run.running()
    await until(lambda: run.log == "deaf\n")
    await bench.executor.stop(run.spec.name)
    assert run.updates[-1].exit_code == -signal.SIGKILL


async def test_stop_of_a_waiting_or_unknown_attempt(bench: Bench) -> None:
    """A queued attempt never starts, and what is not there needs no stop."""
    running = [await bench.cold("import time; time.sleep(600)").start() for _ in range(2)]
    waiting = await bench.cold("print('never')").start()
    await bench.executor.stop(waiting.spec.name)
    assert [(update.phase, update.exit_code) for update in waiting.updates] == [(EXITED, None)]
    await bench.executor.stop("execution/unknown/0")
    for run in running:
        await bench.executor.stop(run.spec.name)


async def test_what_an_ended_attempt_left_behind_is_ended(bench: Bench) -> None:
    """A daemon that a task has started does not outlive it, also while other attempts go on."""
    other = await bench.warm("import time; time.sleep(600)").start()
    run = await bench.warm(FAMILY.format(then="")).start()
    _, daemon = await family(run)
    assert (await run.end()).exit_code == 0
    await until(lambda: not alive(daemon))
    assert [update.phase for update in other.updates] == [RUNNING]


@pytest.mark.parametrize("way", ["warm", "cold"])
async def test_memory_over_the_limit_is_a_user_error(bench: Bench, way: str) -> None:
    """An attempt that grows past its limit is killed, and told so in its log and its reason."""
    code = "data = []\nwhile True: data.append(bytes(range(256)) * 4096)"
    run = await getattr(bench, way)(code, memory=128 << 20).start()
    ended = await run.end()
    assert ended.user_error
    assert "OOM" in ended.reason
    assert "128Mi" in ended.reason
    assert ended.reason in run.log


async def test_memory_of_children_counts(bench: Bench) -> None:
    """The limit is for the attempt with all its processes."""
    child = "data = bytes(range(256)) * 4096 * 200; import time; time.sleep(600)"
    run = await bench.warm(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])", memory=100 << 20
    ).start()
    assert "OOM" in (await run.end()).reason


async def test_an_unknown_command_says_what_to_do(bench: Bench) -> None:
    """The reason names the image, the command and the flag, and is the user's error."""
    run = await bench.attempt("no-such-command", image="ghcr.io/me/image:v1").start()
    ended = await run.end()
    assert ended.user_error
    assert ended.exit_code is None
    for part in ("no-such-command", "ghcr.io/me/image:v1", "--image"):
        assert part in ended.reason
    assert ended.reason in run.log


async def test_an_entry_point_whose_library_is_missing_says_why(bench: Bench) -> None:
    """For a flytekit task on an interpreter without flytekit, the reason names the interpreter and the library."""
    ended = await (await bench.attempt("pyflyte-execute", "--inputs", "x").start()).end()
    assert ended.user_error
    assert "flytekit" in ended.reason
    assert sys.executable in ended.reason


async def test_forgotten_attempts_run_anew(bench: Bench) -> None:
    """Of one execution all is ended and nobody told; its attempts run again, where others keep their end."""
    ended = await bench.cold("pass", name="one/n0/0").start()
    other = await bench.cold("pass", name="one-more/n0/0").start()
    for run in (ended, other):
        await run.end()
    running = await bench.cold("import time; time.sleep(600)", name="one/n1/0").start()
    await running.running()
    await bench.executor.forget("one")
    assert [update.phase for update in running.updates] == [RUNNING]
    for run, phases in ((ended, [RUNNING, EXITED] * 2), (other, [RUNNING, EXITED, EXITED])):
        await run.start()
        await until(lambda run=run, phases=phases: len(run.updates) == len(phases))
        assert [update.phase for update in run.updates] == phases


async def test_a_template_with_threads_is_not_forked(bench: Bench, tmp_path: Path) -> None:
    """When an import starts a thread, attempts start cold, and still run."""
    run_module = tmp_path / "library" / "flyteform" / "run.py"
    thread = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    run_module.write_text(f"{run_module.read_text()}\nimport threading\ndef preload(): {thread}\n")
    program = tmp_path / "bin" / "flyteform-execute"
    program.write_text('#!/bin/sh\necho "cold $1"\n')
    program.chmod(0o755)
    run = await bench.warm("code").start()
    assert (await run.end()).exit_code == 0
    assert run.log == "cold code\n"


async def test_a_template_whose_imports_hang_is_given_up(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that imports may take, attempts start cold, and the template is ended."""
    monkeypatch.setattr("flyteform_dataplane.process.templates.READY_TIMEOUT", 0.3)
    monkeypatch.setattr("flyteform_dataplane.process.templates._END_TIMEOUT", 0.1)
    run_module = tmp_path / "library" / "flyteform" / "run.py"
    run_module.write_text("def preload():\n    import time\n    time.sleep(600)\n")
    program = tmp_path / "bin" / "flyteform-execute"
    program.write_text('#!/bin/sh\necho "cold $1"\n')
    program.chmod(0o755)
    run = await bench.warm("code").start()
    assert (await run.end()).exit_code == 0
    assert run.log == "cold code\n"


async def test_the_death_of_a_template_loses_its_attempts_only(bench: Bench) -> None:
    """Its attempts are LOST with their whole trees, others go on, and the next attempt gets a new template."""
    other = await bench.cold("import time; time.sleep(600)").start()
    run = await bench.warm(FAMILY.format(then="time.sleep(600)")).start()
    pids = await family(run)
    await other.running()
    template = parent_of(pids[0])
    os.kill(template, signal.SIGKILL)
    assert (await run.end()).phase is LOST
    await until(lambda: not any(map(alive, pids)))
    assert [update.phase for update in other.updates] == [RUNNING]
    assert (await (await bench.warm("").start()).end()).exit_code == 0


async def test_a_crash_of_an_attempt_is_its_own(bench: Bench) -> None:
    """A segmentation fault is reported as its signal, and the template forks on."""
    run = await bench.warm("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)").start()
    assert (await run.end()).exit_code == -signal.SIGSEGV
    assert (await (await bench.warm("").start()).end()).exit_code == 0


async def test_requests_beyond_the_machine_warn_once_and_run(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """16 CPUs and a GPU are warned about once per task in the platform's log, and in each attempt's own."""
    caplog.set_level(logging.WARNING)
    wanted = Limits(cpu=16, memory=1 << 40, gpu=1)
    runs = [await bench.cold("print('ran')", requests=wanted).start() for _ in range(2)]
    for run in runs:
        assert (await run.end()).exit_code == 0
        assert "16 CPUs" in run.log
        assert "1 GPU" in run.log
        assert run.log.endswith("ran\n")
    assert [("16 CPUs" in r.message, "1 GPU" in r.message, "1Ti" in r.message) for r in caplog.records] == [
        (True, False, False),
        (False, False, True),
        (False, True, False),
    ]


async def test_close_ends_everything_and_tells_nobody(bench: Bench) -> None:
    """An attempt that ends with its executor has not failed, so its observer hears nothing."""
    run = await bench.warm(FAMILY.format(then="time.sleep(600)")).start()
    pids = await family(run)
    await bench.executor.close()
    assert not any(map(alive, pids))
    assert [update.phase for update in run.updates] == [RUNNING]


async def test_leftovers_of_a_killed_data_plane_are_ended(tmp_path: Path) -> None:
    """After `kill -9` of the data plane and its templates alike, the next start finds and ends what remained."""
    state = tmp_path / "state"
    program = DATA_PLANE.format(state=str(state), task=FAMILY.format(then="time.sleep(600)"))
    log = state / "logs" / "execution" / "n0" / "0.log"
    victim = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await until(lambda: log.exists() and len(log.read_text().split()) == 2)
    attempt, daemon = map(int, log.read_text().split())
    template = parent_of(attempt)
    os.kill(template, signal.SIGSTOP)  # so that it can't end its own before it is killed itself
    victim.kill()
    await victim.wait()
    os.kill(template, signal.SIGKILL)
    await until(lambda: not alive(attempt))
    assert alive(daemon)
    successor = ProcessExecutor(state)
    await successor.open()
    assert not alive(daemon)
    await successor.close()


async def test_a_template_ends_its_own_when_the_data_plane_is_killed(tmp_path: Path) -> None:
    """`kill -9` of the data plane alone leaves nothing, without any next start."""
    state = tmp_path / "state"
    program = DATA_PLANE.format(state=str(state), task=FAMILY.format(then="time.sleep(600)"))
    log = state / "logs" / "execution" / "n0" / "0.log"
    victim = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    await until(lambda: log.exists() and len(log.read_text().split()) == 2)
    pids = [int(word) for word in log.read_text().split()]
    victim.kill()
    await victim.wait()
    await until(lambda: not any(map(alive, pids)))
