"""The template's loop: starts, watches and ends attempts as its parent and the signals of its children say."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any

from .children import Child, children_of_this, end_all, sweep
from .farewells import Farewells
from .frames import Decoder, Start, encode
from .spares import Birth, breed
from .system import kill_group

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from .spares import Spare

_TICK = 0.05  # seconds between looks at the memory of attempts that have a limit
_TREE_TICKS = 5  # a look at whole trees scans all of /proc, so only every so many looks
_CPUS = os.cpu_count() or 1
_TRIES = 3  # children that end before they are told what to run
_SWEEP_INTERVAL = 1.0  # seconds between searches for what ended attempts have left


class Template:
    """Starts, watches and ends attempts, as a loop over one socket and the signals of its children."""

    def __init__(self, control: socket.socket) -> None:
        self.farewells = Farewells()
        self._control = control
        self._decoder = Decoder()
        self._children: dict[int, Child] = {}
        self._leaving: dict[int, Child] = {}  # they have said farewell, and are not gone yet
        self._spare: Spare | None = None
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
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._wakeup[0], select.POLLIN)
        if self.farewells.fileno() >= 0:
            self._poll.register(self.farewells, select.POLLIN)

    def serve(self, *, spares: bool) -> Birth | None:
        """Work until the socket ends, and return None; in a child that was forked return how it is told what to run.

        With `spares` one child is always forked ahead of need.
        """
        while not self._ending:
            if spares and self._spare is None:
                with contextlib.suppress(OSError):  # tried again when an attempt needs it, and told then
                    birth = self._breed(early=len(self._children) < _CPUS)
                    if birth is not None:
                        return birth
            readable = self._wait()
            self._part()
            self._reap()
            for kind, fields in self._receive() if readable else ():
                if kind == "start":
                    birth = self._start(Start(**fields))
                    if birth is not None:
                        return birth
                elif kind == "stop":
                    self._stop(**fields)
            self._tick(time.monotonic())
        end_all([*self._children.values(), *self._leaving.values()])
        return None

    def send(self, kind: str, **fields: Any) -> None:
        """Tell the parent; when it is gone there is nobody to tell."""
        try:
            self._control.sendall(encode(kind, fields))
        except OSError:
            self._ending = True

    def forget(self) -> None:
        """Give up, in a child, what belongs to the parent."""
        signal.set_wakeup_fd(-1)
        for end in self._wakeup:
            os.close(end)
        self._control.close()
        self.farewells.close()
        if self._spare is not None:
            self._spare.close()
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _end(self, *_: object) -> None:
        self._ending = True

    def _wait(self) -> bool:
        ready = {descriptor for descriptor, _ in self._poll.poll(self._patience())}
        if self._wakeup[0] in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wakeup[0], 4096)
        return self._control.fileno() in ready

    def _patience(self) -> int | None:
        """Return the milliseconds until something has to be looked at, None for ever."""
        if any(child.memory or child.kill_at is not None for child in self._children.values()):
            return int(_TICK * 1000)
        return None if self._sweep_at is None else int(_SWEEP_INTERVAL * 1000)

    def _receive(self) -> Iterable[tuple[str, dict[str, Any]]]:
        data = b""
        with contextlib.suppress(OSError):
            data = self._control.recv(1 << 16)
        if not data:
            self._ending = True
        return self._decoder.feed(data)

    def _breed(self, *, early: bool = False) -> Birth | None:
        """Fork the next child, whose job is not known yet; return its birth in the child. OSError if there is none."""
        bred = breed(early=early)
        if isinstance(bred, Birth):
            return bred
        self._spare = bred
        return None

    def _start(self, start: Start) -> Birth | None:
        """Have a child run the attempt; return the birth in a child that is forked for it."""
        try:
            for _ in range(_TRIES):
                if self._spare is None and (birth := self._breed()) is not None:
                    return birth
                if self._given(start):
                    return None
        except OSError as error:
            detail = str(error)
        else:
            detail = "its process ended before it was told what to run"
        self.send("exited", name=start.name, status=1, cause="unstarted", detail=detail)
        return None

    def _given(self, start: Start) -> bool:
        """Whether the spare has taken the attempt."""
        spare, self._spare = self._spare, None
        if spare is None or not spare.give(start):
            return False
        self._children[spare.pid] = Child(start.name, spare.pid, start.memory, start.cwd)
        self.send("started", name=start.name, pid=spare.pid)
        return True

    def _stop(self, name: str, grace: float) -> None:
        for child in self._children.values():
            if child.name == name:
                child.stop(grace, time.monotonic())

    def _tick(self, now: float) -> None:
        self._ticks += 1
        for child in self._children.values():
            child.weigh(now, whole=self._ticks % _TREE_TICKS == 0)
            if child.kill_at is not None and now >= child.kill_at:
                child.kill_at = now + _TICK
                child.signal(signal.SIGKILL)
        if self._sweep_at is not None and now >= self._sweep_at:
            left = sweep(self._children.values(), self._known())
            self._sweep_at = now + _SWEEP_INTERVAL if left or self._children else None

    def _part(self) -> None:
        """Tell of those who have said farewell; what they have started in their own group ends now."""
        for pid, code in self.farewells.receive():
            child = self._children.get(pid)
            if child is not None and not child.cause:
                kill_group(pid, signal.SIGKILL)
                del self._children[pid]
                self._leaving[pid] = child
                self._tell(child, code)

    def _reap(self) -> None:
        while True:
            try:
                exited = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if exited is None:
                return
            pid = exited.si_pid
            child = self._children.pop(pid, None)
            if child is not None:
                kill_group(pid, signal.SIGKILL)  # before its number can become another's
            _, status = os.waitpid(pid, 0)
            if child is not None:
                self._finish(child, status)
            child = child or self._leaving.pop(pid, None)
            if child is not None:
                self._bury(child)
            elif self._spare is not None and self._spare.pid == pid:
                self._spare.close()
                self._spare = None

    def _finish(self, child: Child, status: int) -> None:
        if child.cause:
            child.kill_rest()
        self._tell(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: Child) -> None:
        """Tell that it is gone; look for what it has left, soon, if there is any process that is not known."""
        alone = children_of_this() <= self._known()
        if not alone and self._sweep_at is None:
            self._sweep_at = time.monotonic() + (_SWEEP_INTERVAL if self._children else 0)
        self.send("gone", cwd=child.cwd, alone=alone)

    def _known(self) -> set[int]:
        spare = set() if self._spare is None else {self._spare.pid}
        return {*self._children, *self._leaving} | spare

    def _tell(self, child: Child, status: int) -> None:
        self.send("exited", name=child.name, status=status, cause=child.cause, detail="")
