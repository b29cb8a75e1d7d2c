"""Runs attempts as processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import sys
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flyteform.unpacking import BUNDLE_DIR
from flyteform_dataplane.attempt_logs import begin_log, log_path, write_note
from flyteform_dataplane.copilot.plans import arguments
from flyteform_dataplane.ports import AttemptPhase, AttemptSpec, AttemptUpdate
from flyteform_dataplane.process.cgroups import NONE, Groups, cpus_for
from flyteform_dataplane.process.images import ENTRY_POINTS, ImageTable, entry_of, find_program, localise
from flyteform_dataplane.process.leftovers import OWNER_VARIABLE, end_owned
from flyteform_dataplane.process.limits import Machine, quantity, shortfalls
from flyteform_dataplane.process.rooms import Rooms, remove
from flyteform_dataplane.process.template.children import ATTEMPT_VARIABLE
from flyteform_dataplane.process.template.entries import EXEC
from flyteform_dataplane.process.templates import Exit, Template, Templates

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.process.cgroups import Cgroups

logger = logging.getLogger(__name__)

COPIER_MEMORY = 256 << 20  # bytes for what copies the data of a command in and out, beside the command's own limit
STOP_GRACE = 2.0  # seconds between SIGTERM and SIGKILL
_REMEMBERED = 4096  # ended attempts whose end a repeated start is told, rather than to run again

# What an attempt sees of the platform's own environment; everything else comes from its specification.
_PASSED_ON = (
    "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
)  # fmt: skip


@dataclass(eq=False, slots=True)
class _Attempt:
    spec: AttemptSpec
    observers: list[Callable[[AttemptUpdate], None]]
    log: Path
    room: Path | None = None
    template: Template | None = None
    launch: asyncio.Task[None] | None = None
    running: bool = False
    stopping: bool = False
    groups: Groups = NONE
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class _UnstartableError(Exception):
    """The attempt names something that this machine does not have."""


class ProcessExecutor:
    """Runs each attempt in a process, session, folder and environment of its own.

    At most `max_attempts` run at once, by default twice the number of CPUs and at least 4; the others wait in the
    order of their start. Nothing that it starts outlives it: `close` ends everything, and what a crash has left is
    ended by the next `open` on the same `state_dir`. `cgroups` finds out which limits the kernel can keep; without it
    memory is watched and CPUs are counted.
    """

    def __init__(
        self,
        state_dir: Path,
        images: ImageTable | None = None,
        *,
        max_attempts: int | None = None,
        machine: Machine | None = None,
        logs: Path | None = None,
        cgroups: Callable[[str], Cgroups] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state_dir = state_dir.absolute()
        self._logs = logs or self._state_dir / "logs"
        self._images = images or ImageTable((), Path(sys.executable))
        self._machine = machine or Machine.this()
        self._free = max_attempts or max(4, 2 * self._machine.cpus)
        self._detect = cgroups
        self._cgroups: Cgroups | None = None
        self._now = now
        self._owner = str(self._state_dir)
        self._templates = Templates(self._owner, base_environment(self._images.default), Path(sys.executable), self)
        self._attempts: dict[str, _Attempt] = {}
        self._queue: deque[_Attempt] = deque()
        self._ended: OrderedDict[str, AttemptUpdate] = OrderedDict()
        self._warned: set[tuple[str, str]] = set()
        self._rooms = Rooms(self._state_dir / "work")
        self._closed = False

    async def open(self) -> None:
        """End what a former run has left, and clear its working folders and the code that it has unpacked."""
        left = await asyncio.to_thread(end_owned, f"{self._owner}:")
        if left:
            logger.warning("ended %d processes that an earlier run had left", left)
        if self._detect is not None:
            self._cgroups = await asyncio.to_thread(self._detect, self._owner)
            logger.info("attempts are limited: %s", self._cgroups.describe())
        await asyncio.to_thread(self._rooms.clear)
        await asyncio.to_thread(remove, self._state_dir / "bundles")

    async def warm_up(self) -> None:
        """Start the templates that most attempts need, so that the first one need not wait for them."""
        with contextlib.suppress(OSError):
            await asyncio.gather(self._templates.cold(), self._templates.warm(self._images.default, "flyteform"))

    async def close(self) -> None:
        """End everything; observers are not told, as an attempt that ends with its executor has not failed."""
        self._closed = True
        self._queue.clear()
        launches = [attempt.launch for attempt in self._attempts.values() if attempt.launch]
        for launch in launches:
            launch.cancel()
        await asyncio.gather(*launches, return_exceptions=True)
        await self._templates.close()
        for attempt in self._attempts.values():
            attempt.ended.set()
        if self._cgroups is not None:
            await asyncio.to_thread(self._cgroups.close)

    async def start(self, attempt: AttemptSpec, observe: Callable[[AttemptUpdate], None]) -> None:
        """Start the attempt, or watch it if it is known already: one that has ended is not run again."""
        known = self._attempts.get(attempt.name)
        if known is not None:
            known.observers.append(observe)
            if known.running:
                observe(self._update(known, AttemptPhase.RUNNING))
        elif attempt.name in self._ended:
            observe(self._ended[attempt.name])
        elif not self._closed:
            new = _Attempt(attempt, [observe], log_path(self._logs, attempt.name))
            self._attempts[attempt.name] = new
            self._queue.append(new)
            self._pump()

    def holds(self, name: str) -> bool:
        """Say whether the attempt waits or runs."""
        return name in self._attempts

    async def stop(self, name: str) -> None:
        """End the attempt with its whole tree: SIGTERM, then SIGKILL after `STOP_GRACE` seconds."""
        attempt = self._attempts.get(name)
        if attempt is None:
            return
        if attempt.template is not None:
            attempt.template.send("stop", name=name, grace=STOP_GRACE)
        elif attempt.launch is None:
            self._queue.remove(attempt)
            self._finish(attempt, self._update(attempt, AttemptPhase.EXITED, reason="stopped before it started"))
        else:
            attempt.stopping = True
        await attempt.ended.wait()

    async def forget(self, execution: str) -> None:
        """End all attempts whose names begin with `execution` and a slash; nobody is told, and they may run anew."""
        prefix = f"{execution}/"
        running = [attempt for name, attempt in self._attempts.items() if name.startswith(prefix)]
        for attempt in running:
            attempt.observers.clear()
        await asyncio.gather(*(self.stop(attempt.spec.name) for attempt in running))
        for name in [name for name in self._ended if name.startswith(prefix)]:
            del self._ended[name]

    async def end(self, execution: str) -> None:
        """End what still runs of an execution that is over."""
        names = [name for name in self._attempts if name.startswith(f"{execution}/")]
        await asyncio.gather(*map(self.stop, names))

    async def release(self, execution: str) -> None:
        """Tell nobody of the attempts of an execution any more; they go on."""
        for name, attempt in self._attempts.items():
            if name.startswith(f"{execution}/"):
                attempt.observers.clear()

    def started(self, name: str, pid: int) -> None:
        """Be told by a template that the attempt runs."""
        attempt = self._attempts.get(name)
        if attempt is not None:
            logger.debug("%s runs as process %d", name, pid)
            attempt.running = True
            self._tell(attempt, self._update(attempt, AttemptPhase.RUNNING))

    def exited(self, name: str, exit_: Exit) -> None:
        """Be told by a template that the attempt has ended, with all that it had started."""
        attempt = self._attempts.get(name)
        if attempt is None:
            return
        match exit_.cause or self._cause(attempt, exit_):
            case "unstarted":
                update = self._update(attempt, AttemptPhase.LOST, reason=f"no process could be made: {exit_.detail}")
            case "memory":
                reason = f"OOM: it used more memory than its limit of {quantity(attempt.spec.limits.memory or 0)}"
                write_note(attempt.log, reason)
                update = self._update(attempt, AttemptPhase.EXITED, exit_.status, reason, user_error=True)
            case cause:
                reason = "it was stopped" if cause else ""
                update = self._update(attempt, AttemptPhase.EXITED, exit_.status, reason)
        self._finish(attempt, update)

    def gone(self, cwd: str, *, alone: bool) -> None:
        """Be told by a template that the process in this folder is gone; `alone` if it has left no other one."""
        self._vacate(Path(cwd).parent, alone=alone)

    def _cause(self, attempt: _Attempt, exit_: Exit) -> str:
        """Return why an attempt has ended that nobody here has ended: the kernel may have, in its group."""
        return "memory" if exit_.status != 0 and attempt.groups.ran_out_of_memory() else ""

    def died(self, template: Template) -> None:
        """Be told that a template is gone, and with it all that it had started."""
        self._templates.forget(template)
        lost = [attempt for attempt in self._attempts.values() if attempt.template is template]
        if lost:
            logger.error("a template process ended by itself, %d attempts are lost", len(lost))
        for attempt in lost:
            reason = "the process that had started it ended by itself"
            self._finish(attempt, self._update(attempt, AttemptPhase.LOST, reason=reason))

    def _pump(self) -> None:
        while self._queue and self._free > 0 and not self._closed:
            attempt = self._queue.popleft()
            self._free -= 1
            attempt.launch = asyncio.ensure_future(self._launch(attempt))

    async def _launch(self, attempt: _Attempt) -> None:
        try:
            await self._send_start(attempt)
        except _UnstartableError as error:
            write_note(attempt.log, str(error))
            update = self._update(attempt, AttemptPhase.EXITED, reason=str(error), user_error=True)
        except OSError as error:
            update = self._update(attempt, AttemptPhase.LOST, reason=f"it could not be started: {error}")
        else:
            return
        self._finish(attempt, update)

    async def _send_start(self, attempt: _Attempt) -> None:
        spec = attempt.spec
        self._prepare_log(attempt)
        room = attempt.room = self._rooms.take()
        python = self._images.interpreter(spec.image)
        template, entry, command = await self._way(spec, python)
        memory = spec.limits.memory
        if memory and spec.copying is not None:
            memory += COPIER_MEMORY
        if self._cgroups is not None:
            digest = hashlib.sha256(attempt.spec.name.encode()).hexdigest()[:16]
            attempt.groups = self._cgroups.make(digest, replace(spec.limits, memory=memory))
        folders = {"TMPDIR": str(room / "tmp"), BUNDLE_DIR: str(self._state_dir / "bundles")}
        environment = {**base_environment(python), **folders, **spec.environment}
        template.send(
            "start",
            name=spec.name,
            entry=entry,
            argv=command,
            env={**environment, ATTEMPT_VARIABLE: spec.name, OWNER_VARIABLE: template.owner},
            cwd=str(room / "cwd"),
            log=str(attempt.log),
            memory=memory,
            groups=attempt.groups.entrances,
            cpus=None if self._cgroups is not None and "cpu" in self._cgroups else cpus_for(spec.limits.cpu),
        )
        attempt.template = template
        if attempt.stopping:
            template.send("stop", name=spec.name, grace=STOP_GRACE)

    async def _way(self, spec: AttemptSpec, python: Path) -> tuple[Template, str, tuple[str, ...]]:
        """Return which template starts the attempt, how, and with which command."""
        if spec.copying is not None:
            # Around the command, in the interpreter of the platform: the image's knows nothing of it.
            copier = (sys.executable, "-I", "-m", "flyteform_dataplane.copilot", *arguments(spec.copying))
            return await self._templates.cold(), EXEC, (*copier, *spec.command)
        command = localise(spec.command)
        entry, reason = entry_of(command, tuple(spec.environment)), ""
        if entry != EXEC:
            warm = await self._templates.warm(python, entry)
            if isinstance(warm, Template):
                return warm, entry, command
            reason = warm
        search = spec.environment.get("PATH", base_environment(python)["PATH"])
        program = find_program(command[0], python, search) if command else None
        if program is None:
            raise _UnstartableError(unknown_command(spec, python, reason))
        return await self._templates.cold(), EXEC, (str(program), *command[1:])

    def _prepare_log(self, attempt: _Attempt) -> None:
        begin_log(attempt.log)
        for sentence in shortfalls(attempt.spec.requests, self._machine):
            write_note(attempt.log, f"warning: {sentence}; it runs all the same")
            key = (attempt.spec.task or attempt.spec.name, sentence)
            if key not in self._warned:
                self._warned.add(key)
                logger.warning("%s: %s; it runs all the same", key[0], sentence)

    def _update(
        self,
        attempt: _Attempt,
        phase: AttemptPhase,
        exit_code: int | None = None,
        reason: str = "",
        *,
        user_error: bool = False,
    ) -> AttemptUpdate:
        name, log_uri = attempt.spec.name, attempt.log.as_uri()
        return AttemptUpdate(name, phase, self._now(), log_uri, exit_code, reason, user_error)

    def _tell(self, attempt: _Attempt, update: AttemptUpdate) -> None:
        if not self._closed:
            for observe in attempt.observers:
                observe(update)

    def _finish(self, attempt: _Attempt, update: AttemptUpdate) -> None:
        name = attempt.spec.name
        del self._attempts[name]
        if update.phase is AttemptPhase.EXITED:
            self._ended[name] = update
            if len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
        if attempt.launch is not None:
            self._free += 1
        self._tell(attempt, update)
        attempt.ended.set()
        attempt.groups.remove()
        self._pump()
        if attempt.template is None or update.phase is AttemptPhase.LOST:
            self._vacate(attempt.room, alone=False)  # no template will say that nobody is in it

    def _vacate(self, room: Path | None, *, alone: bool) -> None:
        if room is not None and not (alone and self._rooms.leave(room)):
            asyncio.get_running_loop().run_in_executor(None, remove, room)


def base_environment(python: Path) -> dict[str, str]:
    """Return what every attempt with this interpreter gets; its own programs come first on the path."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.pathsep.join((str(python.parent), passed.get("PATH", os.defpath)))
    return {**passed, "PATH": path, "PYTHONUNBUFFERED": "1"}  # people read the log while the attempt runs


def unknown_command(spec: AttemptSpec, python: Path, reason: str) -> str:
    """Say which command is not there, where it was looked for and what to do about it."""
    command = spec.command[0] if spec.command else ""
    because = f" ({reason})" if reason and Path(command).name in ENTRY_POINTS else ""
    return (
        f"there is no command {command!r} for image {spec.image!r}: it is neither beside {python} nor on the path"
        f"{because}. Give this image an interpreter that has it: --image '{spec.image or '*'}=PYTHON'"
    )
