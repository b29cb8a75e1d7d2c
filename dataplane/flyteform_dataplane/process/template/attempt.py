"""What a forked child does: it becomes a process of its own, runs its entry point and ends as programs do."""
# ruff: noqa: PTH123 - pathlib is several times slower

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from typing import TYPE_CHECKING, NoReturn

from .entries import ENTRIES, EXEC, rehearse
from .farewells import say_farewell
from .system import PR_SET_PDEATHSIG, prctl

if TYPE_CHECKING:
    from .frames import Start
    from .serving import Template
    from .spares import Birth

_LARGEST_BOUND = 1 << 62  # bytes: the kernel takes no more
_PREFERRED_VICTIM = b"800"  # when the machine itself runs out of memory, attempts go before the platform


def become(template: Template, birth: Birth, parent: int, entry: str) -> NoReturn:
    """Be an attempt, in a child, to its end: first what is the same for all, then the one that it is told to be."""
    code, farewells, born = 1, template.farewells.address, os.getpid()
    try:
        _separate(template, parent)
        if birth.early:
            rehearse(entry)
        start = birth.wait()
        if start is None:
            os._exit(0)
        if start.groups:
            farewells = b""  # they can be removed only when nobody is in them any more
        _settle(start)
        ENTRIES[start.entry](start.argv)
        code = 0
    except SystemExit as request:
        code = _exit_code(request.code)
    except BaseException:  # noqa: BLE001 - as the interpreter does at its top level
        traceback.print_exc()
    with contextlib.suppress(BaseException):  # as at the end of a program: threads, then exit functions, then buffers
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - multiprocessing's children end so too
        atexit._run_exitfuncs()  # noqa: SLF001 - as above
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    with contextlib.suppress(BaseException):
        say_farewell(farewells, code, born)
    os._exit(code)


def _exit_code(requested: object) -> int:
    """Return the exit code that `sys.exit(requested)` gives a program."""
    if requested is None:
        return 0
    if isinstance(requested, int):
        return requested & 0xFF
    print(requested, file=sys.stderr)  # noqa: T201 - as the interpreter does
    return 1


def _separate(template: Template, parent: int) -> None:
    """Make this child a process of its own: session, descriptors, and what its end is to others."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it was asked about
        os._exit(1)
    template.forget()
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_PREFERRED_VICTIM)


def _settle(start: Start) -> None:
    """Take the attempt's streams, directory, environment, limits and randomness."""
    _redirect(start.log)
    os.chdir(start.cwd)
    _replace_environment(start.env)
    _enter(start)
    _limit(start.memory)
    if start.entry != EXEC:
        _refresh(start)


def _redirect(log: str) -> None:
    """Send the standard streams to the log, each line at once; there is nothing to read."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    os.close(nothing)
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]


def _replace_environment(environment: dict[str, str]) -> None:
    for name in [name for name in os.environ if name not in environment]:
        del os.environ[name]
    for name, value in environment.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _enter(start: Start) -> None:
    """Enter the control groups, and keep to the CPUs; where that is refused the attempt runs all the same."""
    for entrance in start.groups:
        with contextlib.suppress(OSError), open(entrance, "wb", buffering=0) as file:
            file.write(b"0")
    if start.cpus is not None:
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setaffinity(0, start.cpus)


def _limit(memory: int | None) -> None:
    """Prepare for a shortage of memory.

    The limit itself is watched from outside, which tells the reason. The one that the kernel enforces on the size
    of the data has a margin, as thread stacks and reserved ranges count there too: it only stops a process that
    grows faster than the watch looks.
    """
    if memory:
        bound = min(max(2 * memory, memory + (1 << 30)), _LARGEST_BOUND)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (bound, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _refresh(start: Start) -> None:
    """Do again what the interpreter and modules did once, when the template started."""
    for entry in reversed(start.env.get("PYTHONPATH", "").split(os.pathsep)):
        if entry:
            sys.path.insert(0, entry)
    sys.argv = list(start.argv)
    tempfile.tempdir = None
    time.tzset()
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    gc.enable()
