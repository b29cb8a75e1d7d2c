"""Template processes as the executor sees them: started when first needed, watched, told what to start and to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from flyteform_dataplane.process import template as template_program
from flyteform_dataplane.process.leftovers import OWNER_VARIABLE, end_owned
from flyteform_dataplane.process.template.entries import EXEC
from flyteform_dataplane.process.template.frames import Decoder, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger(__name__)

_PROGRAM = Path(template_program.__file__).parent  # an interpreter runs it by its path, whatever it can import
READY_TIMEOUT = 60.0  # seconds that a template may import; attempts start cold after that
_END_TIMEOUT = 2.0  # seconds; longer than a template needs to kill what it has started


class Watcher(Protocol):
    """Who is told what a template says."""

    def started(self, name: str, pid: int) -> None:
        """Be told that the attempt runs."""
        ...

    def exited(self, name: str, exit_: Exit) -> None:
        """Be told that the attempt has ended, with all that it had started."""
        ...

    def gone(self, cwd: str, *, alone: bool) -> None:
        """Be told that the process in this folder is gone; `alone` if it has left no other one."""
        ...

    def died(self, template: Template) -> None:
        """Be told that the template is gone, and with it all that it had started."""
        ...


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt ended: `status` is its exit code or minus the signal."""

    status: int
    cause: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether a template can fork attempts that run its preloaded entry point; if not, why, and whether for good."""

    warm: bool
    reason: str
    final: bool = True


class Template(asyncio.Protocol):
    """One template process and the socket to it."""

    def __init__(self, owner: str, watcher: Watcher) -> None:
        self.owner = f"{owner}:{uuid.uuid4().hex}"  # what all that it starts has in its environment
        self._watcher = watcher
        self._decoder = Decoder()
        self._transport: asyncio.Transport | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = asyncio.Event()
        self._burial: asyncio.Future[None] | None = None
        self._closing = False
        self.ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()

    async def open(self, python: Path, entry: str, environment: Mapping[str, str]) -> None:
        """Start the process; `ready` tells when it has imported. Raises OSError if it can't be started."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = _spawn(python, entry, theirs, {**environment, OWNER_VARIABLE: self.owner})
        except OSError:
            ours.close()
            raise
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)

    def send(self, kind: str, **fields: Any) -> None:
        """Tell the template; one that is gone has been reported, or will be in a moment."""
        if self._transport is not None:
            self._transport.write(encode(kind, fields))

    async def close(self) -> None:
        """End the process with everything that it has started; nobody is told."""
        self._closing = True
        if self._transport is not None:
            self._transport.close()
            await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment] # of a socket, so it has both directions

    def data_received(self, data: bytes) -> None:
        """Take what arrived, a part of a message or several."""
        for kind, fields in self._decoder.feed(data):
            self._take(kind, fields)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why the socket ended changes nothing
        """See to it that nothing of the template is left, then tell."""
        self._burial = asyncio.ensure_future(self._bury())

    def _take(self, kind: str, fields: dict[str, Any]) -> None:
        if kind == "started":
            self._watcher.started(fields["name"], fields["pid"])
        elif kind == "exited":
            self._watcher.exited(fields.pop("name"), Exit(**fields))
        elif kind == "gone":
            self._watcher.gone(**fields)
        elif kind == "ready" and not self.ready.done():
            self.ready.set_result(Ready(**fields))

    async def _bury(self) -> None:
        await asyncio.to_thread(self._end)
        if not self.ready.done():
            self.ready.set_result(Ready(warm=False, reason="its template process ended early", final=False))
        if not self._closing:
            self._watcher.died(self)
        self._ended.set()

    def _end(self) -> None:
        process = self._process
        if process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_TIMEOUT)
        if process.returncode is None:
            process.kill()
            process.wait()
        if process.returncode != 0:  # it did not end by its own will, so it has not ended its children
            end_owned(self.owner)


def _spawn(python: Path, entry: str, control: socket.socket, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [str(python), str(_PROGRAM), entry, str(control.fileno())]
    return subprocess.Popen(  # noqa: S603 - the interpreter comes from the platform's own command line
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(control.fileno(),),
        start_new_session=True,  # Ctrl-C in the terminal is for the platform, which ends this one in order
        cwd=os.sep,
    )


async def _readiness(template: Template) -> Ready:
    if template.ready.done():
        return template.ready.result()
    try:
        # Not by wait_for: before Python 3.12 it loses a cancellation that comes with the answer.
        async with asyncio.timeout(READY_TIMEOUT):
            return await asyncio.shield(template.ready)
    except TimeoutError:
        return Ready(warm=False, reason=f"its imports took longer than {READY_TIMEOUT:g} s")


class Templates:
    """The templates by interpreter and entry point; a dead one is replaced when it is next needed."""

    def __init__(self, owner: str, environment: Mapping[str, str], launcher: Path, watcher: Watcher) -> None:
        self._owner = owner
        self._environment = environment
        self._launcher = launcher
        self._watcher = watcher
        self._templates: dict[tuple[Path, str], Template] = {}
        self._locks: dict[tuple[Path, str], asyncio.Lock] = {}
        self._refused: dict[tuple[Path, str], str] = {}

    async def warm(self, python: Path, entry: str) -> Template | str:
        """Return the template that runs `entry` by a fork, or why there can't be one."""
        key = (python, entry)
        if key in self._refused:
            return self._refused[key]
        try:
            template = await self._get(key)
        except OSError as error:
            return f"{python} can't be started: {error.strerror}"
        ready = await _readiness(template)
        if ready.warm:
            return template
        logger.warning("attempts on %s start without a template process: %s", python, ready.reason)
        self._templates.pop(key, None)
        if ready.final:
            self._refused[key] = ready.reason
        await template.close()
        return ready.reason

    async def cold(self) -> Template:
        """Return the template that only starts programs. Raises OSError if it can't be started."""
        return await self._get((self._launcher, EXEC))

    def forget(self, template: Template) -> None:
        """Start another one when it is needed."""
        for key, known in list(self._templates.items()):
            if known is template:
                del self._templates[key]

    async def close(self) -> None:
        """End all templates with everything that they have started."""
        templates = list(self._templates.values())
        self._templates.clear()
        await asyncio.gather(*(template.close() for template in templates))

    async def _get(self, key: tuple[Path, str]) -> Template:
        async with self._locks.setdefault(key, asyncio.Lock()):
            if key not in self._templates:
                template = Template(self._owner, self._watcher)
                await template.open(*key, self._environment)
                self._templates[key] = template
            return self._templates[key]
