"""The control plane as a program: what it prints, how it ends, and how it refuses."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = (sys.executable, "-m", "flyteform_controlplane")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(tmp_path: Path, number: signal.Signals) -> None:
    """It prints its addresses once it serves, and a signal ends it with exit code 0."""
    arguments = [*COMMAND, "--state-dir", str(tmp_path), "--grpc-port", "0", "--http-port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "grpc=127.0.0.1:" in line
        assert "http=http://127.0.0.1:" in line
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_refusals_are_two_lines(tmp_path: Path) -> None:
    """A port in use, another host and an unknown flag end with exit code 1 and a message, without a traceback."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for arguments, told in (
            (["--grpc-port", str(port)], f"Error: port {port} on 127.0.0.1 is in use"),
            (["--host", "0.0.0.0"], "Error: the control plane cannot listen on 0.0.0.0"),  # noqa: S104 - refused
            (["--unknown"], "Error: No such option"),
        ):
            command = [*COMMAND, "--state-dir", str(tmp_path), "--http-port", "0", *arguments]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
            assert done.returncode == 1
            assert done.stderr.startswith(told)
            assert "Traceback" not in done.stderr
