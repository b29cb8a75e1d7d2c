"""The process that programs are forked from: importing Pulumi takes longer than most of them."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROGRAM = Path(__file__).with_name("program.py")


class Host:
    """Runs one program at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._running: int | None = None

    def run(self, words: Sequence[str], environment: Mapping[str, str], output: Path) -> int:
        """Run a program to its end; return its exit code."""
        process = self._started()
        assert process.stdin is not None
        asked = {"words": list(words), "environment": dict(environment), "output": str(output)}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        self._running = self._answer(process)
        code = self._answer(process)
        self._running = None
        return code

    def kill(self) -> None:
        """Kill the program that runs."""
        if self._running is not None:
            os.kill(self._running, signal.SIGKILL)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            # Without byte code: Python would take it for a module's that a test has rewritten within the same second.
            self._process = subprocess.Popen(
                [sys.executable, "-B", str(_PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            atexit.register(self.close)
        return self._process

    def _answer(self, process: subprocess.Popen[str]) -> int:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the host of programs has ended"
        return int(line)


HOST = Host()
