"""A real embedded platform, started by its command as a user would, for tests to talk to and to kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FLYTEFORM = str(Path(sys.executable).with_name("flyteform"))
# Longer than the platform waits for its own parts, so that what is said is its own reason.
START_SECONDS = 240.0


def wait_until(condition: Callable[[], object], *, seconds: float, what: str) -> None:
    """Ask again until the condition holds; fail with `what` was waited for when the time is over."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        pause.wait(0.02)


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment that holds nothing of the developer's own settings."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "PYTHONUNBUFFERED": "1"}


@dataclass
class Platform:
    """A running `flyteform dev`."""

    state_dir: Path
    home: Path
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)
    grpc: str = ""
    http: str = ""

    @property
    def log(self) -> Path:
        """The file that its output goes to."""
        return self.state_dir.parent / f"{self.state_dir.name}.log"

    def start(self) -> None:
        """Start it and wait until it says where it serves."""
        command = [FLYTEFORM, "dev", "--grpc-port=0", "--http-port=0", f"--state-dir={self.state_dir}", *self.arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(self.home)
            )
        addresses = self.state_dir / "platform.json"

        def published() -> bool:
            assert self.process.poll() is None, f"it ended:\n{self.log.read_text()}"
            return addresses.is_file() and json.loads(addresses.read_text())["pid"] == self.process.pid

        wait_until(published, seconds=START_SECONDS, what="the platform says where it serves")
        found = json.loads(addresses.read_text())
        self.grpc, self.http = found["grpc"], found["http"]

    def stop(self) -> int:
        """End it by SIGTERM; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def tree(self) -> list[int]:
        """Return the ids of all its processes, itself included."""
        return [self.process.pid, *descendants(self.process.pid)]

    def kill_tree(self) -> list[int]:
        """Kill all its processes at once, as the kernel would; return their ids."""
        killed = self.tree()
        for pid in killed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(timeout=10)
        return killed

    def get(self, path: str) -> bytes:
        """Return what REST answers at this path."""
        with urllib.request.urlopen(self.http + path, timeout=60) as response:  # noqa: S310 - loopback
            return bytes(response.read())

    def run(self, *arguments: str, cwd: Path | None = None, timeout: float = 100) -> subprocess.CompletedProcess[str]:
        """Run a flyteform command against it."""
        environment = {
            **clean_environment(self.home),
            "FLYTEFORM_ENDPOINT": self.grpc,
            "FLYTEFORM_INSECURE": "true",
        }
        return subprocess.run(
            [FLYTEFORM, *arguments],
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def descendants(pid: int) -> list[int]:
    """Return the ids of the processes below this one, by the kernel's list."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, look = [], [pid]
    while look:
        for child in children.get(look.pop(), []):
            found.append(child)
            look.append(child)
    return found


def alive(pids: list[int]) -> list[int]:
    """Return which of these processes still run (a zombie does not)."""
    running = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            running.append(pid)
    return running


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[Platform]:
    """Run a platform for the length of the block, on an empty state directory below `folder`."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    platform = Platform(state_dir=folder / "platform", home=home, arguments=arguments)
    platform.start()
    try:
        yield platform
    finally:
        if platform.process.poll() is None:
            tree = platform.tree()
            platform.stop()
            assert not alive(tree), "processes are left"
