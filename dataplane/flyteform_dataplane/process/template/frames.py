"""How a template and its parent talk: over a socket, in frames of a 4-byte big-endian length and JSON.

To a template:    {"start": {name, entry, argv, env, cwd, log, memory, groups, cpus}}, {"stop": {name, grace}}
From a template:  {"ready": {warm, reason}}, {"started": {name, pid}},
                  {"exited": {name, status, cause, detail}}: status is the exit code or minus the signal, cause "",
                  "stopped", "memory" or "unstarted"; then, when its process is gone,
                  {"gone": {cwd, alone}}: alone if no other process is left that may be its.

The end of the socket ends a template with all that it has started.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_LENGTH = struct.Struct(">I")


@dataclasses.dataclass
class Start:
    """An attempt to start; `entry` is a preloaded entry point or "exec", `memory` its limit in bytes.

    `groups` are files by which it enters control groups, `cpus` the numbers of those that it may use (None: all).
    """

    name: str
    entry: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    log: str
    memory: int | None = None
    groups: list[str] = dataclasses.field(default_factory=list)
    cpus: list[int] | None = None


def encode(kind: str, fields: dict[str, Any]) -> bytes:
    """Return the frame of a message."""
    data = json.dumps({kind: fields}).encode()
    return _LENGTH.pack(len(data)) + data


class Decoder:
    """Puts messages together from what arrives, a part of one or several at a time."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
        """Take what arrived and yield the messages that are complete now: their kind and their fields."""
        self._received += data
        while len(self._received) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._received)[0]
            if len(self._received) < end:
                return
            message = json.loads(self._received[_LENGTH.size : end])
            del self._received[:end]
            yield from message.items()
