"""Whatever a process of the tests starts ends with it, however that ends; and so do its temporary files.

Fixtures end what they have started. Not so when they are killed, or interrupted in the middle of that: then servers,
and clusters with all their programs, would run for ever. So there is another process, the guardian, that waits for the
end of the first one. What belongs to that one is told by TMPDIR, which children inherit, daemons too: a folder that
nobody else has.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# First all are asked, so that what they own is released, then they are killed: seconds that each of both may take.
_PATIENCE = {signal.SIGTERM: 2.0, signal.SIGKILL: 10.0}
_LOOK, _PAUSE = 0.5, 0.05
_VARIABLE = "TMPDIR"


@cache
def guarded() -> Path:
    """Have a guardian from now on; return the folder for temporary files, which lasts as long as this process.

    Where the kernel does not list processes as Linux does it is the one that there always is.
    """
    before = tempfile.gettempdir()
    if sys.platform != "linux":
        return Path(before)
    folder = Path(tempfile.mkdtemp(prefix="flyteform-"))
    folder.chmod(0o711)  # servers that refuse root have their files below it
    _start_guardian(folder)
    os.environ[_VARIABLE] = tempfile.tempdir = str(folder)
    # What pytest keeps of its last runs stays where it always is.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", before)
    return folder


def _start_guardian(folder: Path) -> None:
    null = subprocess.DEVNULL
    guardian = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(folder)],
        stdin=null,
        stdout=null,
        stderr=null,
        env={},  # without the variable: it spares itself
        start_new_session=True,  # Ctrl-C is not for it
    )
    guardian.returncode = 0  # nobody waits for it here: it lasts longer than this process


def _guard(process: int, folder: Path) -> None:
    """Wait for the end of the process that started this one, then end all that it has left."""
    while os.getppid() == process:
        time.sleep(_LOOK)
    for sent, seconds in _PATIENCE.items():
        told: set[int] = set()
        deadline = time.monotonic() + seconds
        while (found := set(_belonging(folder))) and time.monotonic() < deadline:
            for pid in found - told:
                _send(pid, sent)
            told |= found
            time.sleep(_PAUSE)
    shutil.rmtree(folder, ignore_errors=True)


def _belonging(folder: Path) -> Iterator[int]:
    """Yield the ids of the processes whose temporary folder it is, or one below it."""
    wanted = f"{_VARIABLE}={folder}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended, or is somebody else's
            if any(each == wanted or each.startswith(wanted + b"/") for each in variables):
                yield int(entry.name)


def _send(pid: int, sent: signal.Signals) -> None:
    try:
        os.kill(pid, sent)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    _guard(int(sys.argv[1]), Path(sys.argv[2]))
