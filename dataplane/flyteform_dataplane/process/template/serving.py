"""The template's loop: starts, watches and ends attempts as its parent and the signals of its children say."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Any

from .children import Child, end_all, has_children, sweep
from .frames import Decoder, Start, encode
from .system import kill_group

if TYPE_CHECKING:
    import resource
    import socket
    from collections.abc import Iterable

_TICK = 0.05  # seconds between looks at the memory of attempts that have a limit
_TREE_TICKS = 5  # a look at whole trees scans all of /proc, so only every so many looks
_SWEEP_INTERVAL = 1.0  # seconds between searches for what ended attempts have left


class Template:
    """Starts, watches and ends attempts, as a loop over one socket and the signals of its children."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._decoder = Decoder()
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
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._wakeup[0], select.POLLIN)

    def serve(self) -> Start | None:
        """Work until the socket ends, and return None; in a child that was forked return what it has to run."""
        while not self._ending:
            readable = self._wait()
            self._reap()
            for kind, fields in self._receive() if readable else ():
                if kind == "start":
                    start = self._start(Start(**fields))
                    if start is not None:
                        return start
                elif kind == "stop":
                    self._stop(**fields)
            self._tick(time.monotonic())
        end_all(self._children.values())
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
            data = self._control.recv(1 << 20)
        if not data:
            self._ending = True
        return self._decoder.feed(data)

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
            left = sweep(self._children.values())
            self._sweep_at = now + _SWEEP_INTERVAL if left or self._children else None

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
            child.kill_rest()
        elif self._sweep_at is None and has_children():
            self._sweep_at = time.monotonic() + (_SWEEP_INTERVAL if self._children else 0)
        self.send(
            "exited",
            name=child.name,
            status=os.waitstatus_to_exitcode(status),
            cause=child.cause,
            detail="",
            cpu=usage.ru_utime + usage.ru_stime,
            peak=max(child.peak, usage.ru_maxrss * 1024),
        )
