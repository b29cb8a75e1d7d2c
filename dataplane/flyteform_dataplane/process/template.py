"""A process that has imported the SDK once and forks one child for each attempt of a task.

It is run by path with whatever interpreter a task's image stands for, so it needs Python 3.9 and its standard
library only. Its parent talks to it over an inherited socket, in frames of a 4-byte big-endian length and JSON:

to it:    {"start": {name, entry, argv, env, cwd, log, memory}}, {"stop": {name, grace}}
from it:  {"ready": {warm, reason}}, {"started": {name, pid}},
          {"exited": {name, status, cause, detail, cpu, peak}}: status is the exit code or minus the signal,
          cause "", "stopped", "memory" or "unstarted", cpu in seconds, peak memory in bytes.

The end of the socket ends it with all that it has started. It has one thread only, as a fork copies no other:
when an import leaves more than one, it says so and goes on starting programs of their own only.
"""
# pathlib is several times slower, and scans of /proc are on the way of every attempt that is stopped.
# ruff: noqa: PTH100, PTH103, PTH109, PTH111, PTH112, PTH119, PTH120, PTH123, PTH208

from __future__ import annotations

import atexit
import contextlib
import ctypes
import dataclasses
import gc
import importlib
import json
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LENGTH = struct.Struct(">I")
PAGE = os.sysconf("SC_PAGE_SIZE")
ATTEMPT_VARIABLE = "FLYTEFORM_ATTEMPT"

LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

TICK = 0.05  # seconds between looks at the memory of attempts that have a limit
TREE_TICKS = 5  # a look at whole trees scans all of /proc, so only every so many looks
SWEEP_INTERVAL = 1.0  # seconds between searches for what ended attempts have left
KILL_DEADLINE = 2.0  # seconds after which a process that SIGKILL does not end is given up
PREFERRED_VICTIM = b"800"  # when the machine itself runs out of memory, attempts go before the platform
COMMAND_NOT_EXECUTABLE = 126


@dataclasses.dataclass
class Start:
    """An attempt to start; `entry` is a preloaded entry point or "exec", `memory` its limit in bytes."""

    name: str
    entry: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    log: str
    memory: int | None = None


@dataclasses.dataclass
class Child:
    """A running attempt: its first process, and why and when it will be killed."""

    name: str
    pid: int
    memory: int | None
    cause: str = ""
    kill_at: float | None = None
    peak: int = 0
    members: set[tuple[int, str]] = dataclasses.field(default_factory=set)


@dataclasses.dataclass(frozen=True)
class Process:
    """One row of /proc; `born` is its start time in clock ticks, which makes a reused pid another process."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    born: str


def processes() -> dict[int, Process]:
    """Return all processes that can be seen; empty where there is no /proc."""
    found = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if entry.isdigit():
            process = process_of(int(entry))
            if process is not None:
                found[process.pid] = process
    return found


def process_of(pid: int) -> Process | None:
    """Return the process, or None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name before it may hold blanks and brackets
    return Process(pid, fields[0], int(fields[1]), int(fields[2]), int(fields[3]), fields[19])


def descendants(root: int, table: Mapping[int, Process]) -> set[int]:
    """Return the children of `root`, their children, and so on."""
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def variable_of(pid: int, name: str) -> str | None:
    """Return what the environment variable was when the process began its program."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return None
    prefix = name.encode() + b"="
    return next((entry[len(prefix) :].decode(errors="replace") for entry in entries if entry.startswith(prefix)), None)


def resident(pid: int) -> int:
    """Return the bytes of the process's own memory: what it maps of files and shares by name does not count."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            fields = file.read().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * PAGE


def proportional(pid: int) -> int:
    """Return the bytes of the process's own memory, shared pages divided by their sharers: exact, but slower."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        for line in file:
            if line.startswith(b"Pss_Anon:"):
                return int(line.split()[1]) * 1024
    return resident(pid)


def kill(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def kill_group(group: int, number: int) -> None:
    """Send a signal to a process group that may be gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def prctl(option: int, value: int) -> None:
    """Set a property of this process that only Linux has."""
    if LIBC is not None:
        LIBC.prctl(option, value, 0, 0, 0)


class Template:
    """Starts, watches and ends attempts, as a loop over one socket and the signals of its children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._received = bytearray()
        self._children: dict[int, Child] = {}
        self._sweep_at: float | None = None
        self._ticks = 0
        self._ending = False
        self._wakeup = os.pipe()
        for end in self._wakeup:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._end)

    def serve(self) -> Start | None:
        """Work until the socket ends, and return None; in a child that was forked return what it has to run."""
        while not self._ending:
            readable = self._wait()
            self._reap()
            messages = self._receive() if readable else []
            for message in messages:
                start = self._handle(message)
                if start is not None:
                    return start
            self._tick(time.monotonic())
        self._end_all()
        return None

    def send(self, kind: str, **fields: Any) -> None:
        """Tell the parent; when it is gone there is nobody to tell."""
        data = json.dumps({kind: fields}).encode()
        try:
            self._control.sendall(LENGTH.pack(len(data)) + data)
        except OSError:
            self._ending = True

    def forget(self) -> None:
        """Give up, in a child, what belongs to the parent."""
        signal.set_wakeup_fd(-1)
        for end in self._wakeup:
            os.close(end)
        self._control.close()
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _end(self, *_: object) -> None:
        self._ending = True

    def _wait(self) -> bool:
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakeup[0], select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(self._patience())}
        if self._wakeup[0] in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup[0], 4096)
        return self._control.fileno() in ready

    def _patience(self) -> int | None:
        """Return the milliseconds until something has to be looked at, None for ever."""
        if any(child.memory or child.kill_at is not None for child in self._children.values()):
            return int(TICK * 1000)
        return None if self._sweep_at is None else int(SWEEP_INTERVAL * 1000)

    def _receive(self) -> list[dict[str, Any]]:
        data = b""
        with contextlib.suppress(OSError):
            data = self._control.recv(1 << 20)
        if not data:
            self._ending = True
        self._received += data
        return list(self._frames())

    def _frames(self) -> Iterator[dict[str, Any]]:
        while len(self._received) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._received)[0]
            if len(self._received) < end:
                return
            yield json.loads(self._received[LENGTH.size : end])
            del self._received[:end]

    def _handle(self, message: dict[str, Any]) -> Start | None:
        if "start" in message:
            return self._start(Start(**message["start"]))
        if "stop" in message:
            self._stop(**message["stop"])
        return None

    def _start(self, start: Start) -> Start | None:
        try:
            pid = os.fork()
        except OSError as error:
            self.send("exited", name=start.name, status=1, cause="unstarted", detail=str(error), cpu=0.0, peak=0)
            return None
        if pid == 0:
            return start
        self._children[pid] = Child(start.name, pid, start.memory)
        self.send("started", name=start.name, pid=pid)
        return None

    def _stop(self, name: str, grace: float) -> None:
        for child in self._children.values():
            if child.name == name and child.kill_at is None:
                child.cause = child.cause or "stopped"
                child.kill_at = time.monotonic() + grace
                for pid in self._tree(child):
                    kill(pid, signal.SIGTERM)

    def _tick(self, now: float) -> None:
        self._ticks += 1
        for child in self._children.values():
            if child.memory and child.cause != "memory":
                self._weigh(child, child.memory, now)
            if child.kill_at is not None and now >= child.kill_at:
                child.kill_at = now + TICK
                for pid in self._tree(child):
                    kill(pid, signal.SIGKILL)
        if self._sweep_at is not None and now >= self._sweep_at:
            self._sweep(now)

    def _weigh(self, child: Child, limit: int, now: float) -> None:
        members = self._tree(child) if self._ticks % TREE_TICKS == 0 else {child.pid}
        used = sum(map(resident, members))
        if used > limit:
            used = sum(map(proportional, members))
        child.peak = max(child.peak, used)
        if used > limit:
            child.cause, child.kill_at = "memory", now

    def _tree(self, child: Child) -> set[int]:
        """Return the attempt's processes, also those that left its session or lost their parents."""
        table = processes()
        mine = descendants(os.getpid(), table)
        found = {child.pid} | descendants(child.pid, table)
        for pid in mine - found:
            process = table[pid]
            if (
                child.pid in (process.group, process.session)
                or (pid, process.born) in child.members
                or variable_of(pid, ATTEMPT_VARIABLE) == child.name
            ):
                found |= {pid} | descendants(pid, table)
        alive = {pid for pid in found if pid in table and table[pid].state not in "ZX"}
        child.members |= {(pid, table[pid].born) for pid in alive}
        return alive

    def _reap(self) -> None:
        while True:
            try:
                exited = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if exited is None:
                return
            child = self._children.get(exited.si_pid)
            if child is not None:
                kill_group(child.pid, signal.SIGKILL)  # before its number can become another's
            _, status, usage = os.wait4(exited.si_pid, 0)
            if child is not None:
                self._finish(child, status, usage)

    def _finish(self, child: Child, status: int, usage: resource.struct_rusage) -> None:
        del self._children[child.pid]
        if child.cause:
            self._kill_rest(child)
        elif self._sweep_at is None and self._has_children():
            self._sweep_at = time.monotonic() + (SWEEP_INTERVAL if self._children else 0)
        self.send(
            "exited",
            name=child.name,
            status=os.waitstatus_to_exitcode(status),
            cause=child.cause,
            detail="",
            cpu=usage.ru_utime + usage.ru_stime,
            peak=max(child.peak, usage.ru_maxrss * 1024),
        )

    def _kill_rest(self, child: Child) -> None:
        deadline = time.monotonic() + KILL_DEADLINE
        while time.monotonic() < deadline:
            rest = self._tree(child)
            if not rest:
                return
            for pid in rest:
                kill(pid, signal.SIGKILL)
            time.sleep(0.002)

    def _has_children(self) -> bool:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _sweep(self, now: float) -> None:
        """Kill what attempts that have ended left behind: it came to this process when its parents died."""
        table = processes()
        live = {child.name for child in self._children.values()}
        left = False
        for process in list(table.values()):
            if process.parent == os.getpid() and process.pid not in self._children and process.state not in "ZX":
                owner = variable_of(process.pid, ATTEMPT_VARIABLE)
                if (owner is None and live) or owner in live or process.session in self._children:
                    left = True
                    continue
                for pid in {process.pid} | descendants(process.pid, table):
                    kill(pid, signal.SIGKILL)
        self._sweep_at = now + SWEEP_INTERVAL if left or self._children else None

    def _end_all(self) -> None:
        deadline = time.monotonic() + KILL_DEADLINE
        while time.monotonic() < deadline:
            for pid in self._children.keys() | descendants(os.getpid(), processes()):
                kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG) != (0, 0):
                    pass
                time.sleep(0.002)
                continue
            return


def preload(entry: str) -> str:
    """Import what attempts will need; return why they can't be forked from here, or nothing."""
    try:
        if entry == "flyteform":
            importlib.import_module("flyteform.run").preload()
        elif entry == "flytekit":
            os.environ["FLYTE_INTERNAL_EXECUTION_ID"] = "template"  # its loggers ask whether this is a container
            importlib.import_module("flytekit.bin.entrypoint")
    except Exception as error:  # noqa: BLE001 - whatever an import raises, attempts can still start cold
        return f"{sys.executable} can't import {entry}: {type(error).__name__}: {error}"
    tasks = "/proc/self/task"
    threads = len(os.listdir(tasks)) if os.path.isdir(tasks) else threading.active_count()
    return "" if threads == 1 else f"importing {entry} left {threads} threads"


def become(template: Template, start: Start, parent: int) -> NoReturn:
    """Be the attempt, in a child, to its end."""
    code = 1
    try:
        settle(template, start, parent)
        ENTRIES[start.entry](start.argv)
        code = 0
    except SystemExit as request:
        code = exit_code(request.code)
    except BaseException:  # noqa: BLE001 - as the interpreter does at its top level
        traceback.print_exc()
    with contextlib.suppress(BaseException):  # as at the end of a program: threads, then exit functions, then buffers
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - multiprocessing's children end so too
        atexit._run_exitfuncs()  # noqa: SLF001 - as above
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def exit_code(requested: object) -> int:
    """Return the exit code that `sys.exit(requested)` gives a program."""
    if requested is None:
        return 0
    if isinstance(requested, int):
        return requested & 0xFF
    print(requested, file=sys.stderr)  # noqa: T201 - as the interpreter does
    return 1


def settle(template: Template, start: Start, parent: int) -> None:
    """Make this child a process of its own: session, descriptors, directory, environment, limits, randomness."""
    os.setsid()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before it was asked about
        os._exit(1)
    template.forget()
    redirect(start.log)
    os.chdir(start.cwd)
    for name in [name for name in os.environ if name not in start.env]:
        del os.environ[name]
    for name, value in start.env.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    limit(start.memory)
    if start.entry == "exec":
        return
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


def redirect(log: str) -> None:
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


def limit(memory: int | None) -> None:
    """Prepare for a shortage of memory.

    The limit itself is watched from outside, which tells the reason. The one that the kernel enforces on the size
    of the data has a margin, as thread stacks and reserved ranges count there too: it only stops a process that
    grows faster than the watch looks.
    """
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(PREFERRED_VICTIM)
    if memory:
        bound = max(2 * memory, memory + (1 << 30))
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (bound, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def run_program(argv: Sequence[str]) -> None:
    """Replace this process by the program."""
    try:
        os.execve(argv[0], list(argv), dict(os.environ))  # noqa: S606 - the registered command is what shall run
    except OSError as error:
        print(f"{argv[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201 - this is the attempt's log
        os._exit(COMMAND_NOT_EXECUTABLE)


def run_flyteform(_: Sequence[str]) -> None:
    """Run `flyteform-execute`."""
    sys.exit(importlib.import_module("flyteform.run").main())


def run_flytekit(argv: Sequence[str]) -> None:
    """Run `pyflyte-execute`, `pyflyte-map-execute` or `pyflyte-fast-execute` around one of them."""
    asyncio = importlib.import_module("asyncio")
    asyncio.set_event_loop(asyncio.new_event_loop())  # the one that an import made is shared with every other attempt
    entrypoint = importlib.import_module("flytekit.bin.entrypoint")
    importlib.import_module("flytekit").FlyteContextManager.initialize()  # reads its settings from the environment
    command = list(argv)
    if os.path.basename(command[0]) == "pyflyte-fast-execute":
        command = unpack(entrypoint, command[1:])
    name = os.path.basename(command[0])
    if name not in FLYTEKIT_COMMANDS:
        os.execvp(command[0], command)  # noqa: S606 - the registered command is what shall run
    getattr(entrypoint, FLYTEKIT_COMMANDS[name]).main(args=command[1:], prog_name=name)


def unpack(entrypoint: Any, arguments: list[str]) -> list[str]:
    """Fetch the code, make it importable and return the command that wants it.

    The entry point itself starts a second interpreter here, because its own could have imported older code of the
    user; a template has imported none.
    """
    given = entrypoint.fast_execute_task_cmd.make_context("pyflyte-fast-execute", arguments).params
    distribution, directory = given["additional_distribution"], given["dest_dir"] or os.getcwd()
    command: list[str] = []
    for argument in given["task_execute_cmd"]:
        if argument == "--resolver" and distribution:
            command += ["--dynamic-addl-distro", distribution, "--dynamic-dest-dir", directory]
        command.append(argument)
    if distribution:
        os.makedirs(directory, exist_ok=True)
        entrypoint._download_distribution(distribution, directory)  # noqa: SLF001 - its name for the public function
    path = os.path.realpath(os.path.expanduser(directory))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), path)))
    sys.path.insert(0, path)
    return command


ENTRIES: dict[str, Callable[[Sequence[str]], None]] = {
    "exec": run_program,
    "flyteform": run_flyteform,
    "flytekit": run_flytekit,
}
FLYTEKIT_COMMANDS = {"pyflyte-execute": "execute_task_cmd", "pyflyte-map-execute": "map_execute_task_cmd"}


def main(entry: str, descriptor: int) -> None:
    """Preload for `entry` and serve the socket that was inherited as `descriptor`."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != here]  # its names are none of the task's
    os.set_inheritable(descriptor, False)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # the end of the socket is not seen while an import hangs
    reason = preload(entry)
    template = Template(socket.socket(fileno=descriptor))
    template.send("ready", warm=entry != "exec" and not reason, reason=reason)
    gc.collect()
    gc.disable()
    gc.freeze()  # what is never touched again stays shared with every child
    parent = os.getpid()
    start = template.serve()
    if start is not None:
        become(template, start, parent)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
