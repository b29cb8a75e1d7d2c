"""Children that are forked ahead of need: all that is the same for every attempt is done when one is wanted."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os

from .frames import Start


@dataclasses.dataclass
class Spare:
    """A child that waits to be told which attempt it is; `descriptor` is the parent's end of the pipe to it."""

    pid: int
    descriptor: int

    def give(self, start: Start) -> bool:
        """Tell it; False if it is gone."""
        data = json.dumps(dataclasses.asdict(start)).encode()
        try:
            # A child reads while this writes, so a job larger than a pipe holds up nobody for long.
            while data:
                data = data[os.write(self.descriptor, data) :]
        except OSError:
            return False
        finally:
            self.close()
        return True

    def close(self) -> None:
        """Give up the way to it: without a job it ends by itself."""
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


@dataclasses.dataclass
class Birth:
    """What a child knows when it is forked: where it will be told which attempt it is, and whether there is time."""

    descriptor: int
    early: bool

    def wait(self) -> Start | None:
        """Return the attempt; None if the parent has none for it any more."""
        parts = []
        while part := os.read(self.descriptor, 1 << 16):
            parts.append(part)
        os.close(self.descriptor)
        return Start(**json.loads(b"".join(parts))) if parts else None


def breed(*, early: bool) -> Spare | Birth:
    """Fork: return the spare in the parent, its birth in the child. Raises OSError if no process can be made."""
    ours, theirs = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(ours)
        os.close(theirs)
        raise
    if pid == 0:
        os.close(theirs)
        return Birth(ours, early)
    os.close(ours)
    return Spare(pid, theirs)
