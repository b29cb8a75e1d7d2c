"""Processes are told apart by more than their numbers, and none but the one that is meant is sent a signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

from flyteform_local.processes import Process, this_process

# Says who it is, then waits.
SLEEPER = """
import json, signal
from dataclasses import asdict
from flyteform_local.processes import this_process
print(json.dumps(asdict(this_process())), flush=True)
signal.pause()
"""


def test_this_process_runs() -> None:
    """Who asks runs; who had its number before does not, and hears nothing of a signal to it."""
    here = this_process()
    assert here.runs
    before = replace(here, began=f"{here.began}0")
    assert not before.runs
    assert not before.send(signal.SIGKILL)


def test_a_signal_reaches_the_one_that_is_meant() -> None:
    """A process ends by its signal, and does not run any more even before anybody has asked how it ended."""
    import json

    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        process = Process(**json.loads(started.stdout.readline()))
        assert process.pid == started.pid
        assert process.runs
        assert process.send(signal.SIGTERM)
        started.stdout.read()  # to its end: all files of it are closed
        assert started.wait() == -signal.SIGTERM
    assert not process.runs
    assert not process.send(signal.SIGTERM)
