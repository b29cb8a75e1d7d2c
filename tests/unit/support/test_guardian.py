"""Nothing that tests start lasts longer than they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.platform import alive, wait_until

TESTS = Path(__file__).parents[2]
PATIENCE = 60.0
# Starts, as tests do, a server that runs on its own, one with a folder of its own, and one that does not want to end.
PROGRAM = f"""
import os, subprocess, sys
sys.path.insert(0, {str(TESTS)!r})
from support.guardian import guarded
folder = guarded()
assert guarded() == folder
(folder / "file").touch()
ignoring = "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True)"
stubborn = f"import signal, time; {{ignoring}}; time.sleep(600)"
own = dict(os.environ, TMPDIR=str(folder / "own"))
servers = [
    subprocess.Popen(["sleep", "600"], start_new_session=True),
    subprocess.Popen(["sleep", "600"], start_new_session=True, env=own),
    subprocess.Popen([sys.executable, "-c", stubborn], start_new_session=True, stdout=subprocess.PIPE),
]
servers[2].stdout.readline()
print(folder, *(server.pid for server in servers), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists processes with their environments")
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
def test_what_a_process_has_started_ends_with_it(killed: bool) -> None:
    """Daemons and files of one that is killed, or that has forgotten them, are gone soon; nobody else's are."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdin
        folder, *started = process.stdout.readline().split()
        servers = [int(pid) for pid in started]
        assert alive(servers) == servers
        assert Path(folder, "file").exists()
        # Another one, whose folder has nearly the same name.
        bystander = subprocess.Popen(["sleep", "600"], env={**os.environ, "TMPDIR": f"{folder}-2"})
        if killed:
            process.send_signal(signal.SIGKILL)
    wait_until(lambda: not alive(servers), seconds=PATIENCE, what="its servers have ended")
    wait_until(lambda: not Path(folder).exists(), seconds=PATIENCE, what="its files are gone")
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
