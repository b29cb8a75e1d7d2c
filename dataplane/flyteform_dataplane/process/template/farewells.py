"""How a child says that its attempt has ended, before the kernel has taken its memory apart.

Over a datagram socket of Linux's abstract namespace, which a child opens only then: an attempt has no descriptor of
its template. The kernel says who sent it. Where there is no such socket, or it fails, the end of the process tells.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CODE = struct.Struct("=i")
_CREDENTIALS = struct.Struct("=iii")  # process, user, group
_SCM_CREDENTIALS = 2  # Linux's; Python has no name for it
# The memory of a larger process counts until it is gone: another attempt may need it.
_MOST_BYTES = 256 << 20


class Farewells:
    """The template's side: who has said farewell, and with which exit code."""

    def __init__(self) -> None:
        self.address = b""
        self._socket: socket.socket | None = None
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
                self._socket.bind(b"")  # the kernel finds a name that is free
                self.address = self._socket.getsockname()

    def fileno(self) -> int:
        """Return what to wait on; -1 if there is nothing."""
        return -1 if self._socket is None else self._socket.fileno()

    def receive(self) -> Iterator[tuple[int, int]]:
        """Yield the process ids and exit codes of those who have."""
        while self._socket is not None:
            try:
                data, control, _, _ = self._socket.recvmsg(_CODE.size, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:
                return
            for level, kind, sender in control:
                if (level, kind) == (socket.SOL_SOCKET, _SCM_CREDENTIALS) and len(data) == _CODE.size:
                    yield _CREDENTIALS.unpack(sender)[0], _CODE.unpack(data)[0]

    def close(self) -> None:
        """Receive no more."""
        if self._socket is not None:
            self._socket.close()


def say_farewell(address: bytes, code: int, born: int) -> None:
    """Say, as the process `born`, that only the kernel has anything left to do; a fork of the attempt says nothing."""
    if address and os.getpid() == born and _resident() < _MOST_BYTES:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(_CODE.pack(code), address)


def _resident() -> int:
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - pathlib is several times slower
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
