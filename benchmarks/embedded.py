"""Overhead per process-isolated task on the embedded platform: a chain of 40, and a map over 1,000 items.

The floor, in the same run: a process forked from a warm parent that reads and durably writes a small file, which is
what any platform that isolates tasks by process has to pay.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import report

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBJECTS = Path(__file__).parent / "subjects"
FLYTEFORM = str(Path(sys.executable).with_name("flyteform"))
CHAIN = 40
ITEMS = 1000
ROUNDS = 5
GOAL_MS = 20.0


def main() -> None:
    """Print the overhead per task and how many floors that is."""
    floor_ms = floor_seconds(200) * 1000
    with tempfile.TemporaryDirectory() as folder, platform(Path(folder)) as http:
        for what, workflow, arguments, count in (
            (f"chain of {CHAIN} tasks", "chain", (), CHAIN),
            (f"map over {ITEMS} items", "fan_out", ("--xs", json.dumps(list(range(ITEMS)))), ITEMS),
        ):
            run(http, workflow, arguments)  # registers, and starts the warm template
            per_task = [run(http, workflow, arguments) * 1000 / count for _ in range(ROUNDS)]
            middle = statistics.median(per_task)
            report(
                f"{what}, overhead per task as a share of the goal of {GOAL_MS:.0f} ms",
                middle / GOAL_MS,
                goal="goal: below 1",
                detail=f"{middle / floor_ms:.1f} times the floor (fork, read, durable write); ms per task: median "
                f"{middle:.1f}, least {min(per_task):.1f}, most {max(per_task):.1f}, floor {floor_ms:.1f}",
            )


def floor_seconds(rounds: int) -> float:
    """Return the median time in which a forked process reads and durably writes a small file and is waited for."""
    import flyteform.run

    flyteform.run.preload()
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "inputs.pb"
        inputs.write_bytes(b"x" * 100)
        for number in range(rounds):
            started = time.perf_counter()
            pid = os.fork()
            if pid == 0:
                with (Path(folder) / f"outputs{number}.pb").open("wb") as file:
                    file.write(inputs.read_bytes())
                    file.flush()
                    os.fsync(file.fileno())
                os._exit(0)
            os.waitpid(pid, 0)
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


@contextmanager
def platform(folder: Path) -> Iterator[str]:
    """Run the embedded platform; yield its REST address; point the commands that follow at it."""
    command = [FLYTEFORM, "dev", "--grpc-port=0", "--http-port=0", f"--state-dir={folder / 'state'}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    addresses = folder / "state" / "platform.json"
    try:
        while not addresses.exists():
            if process.poll() is not None:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.05)
        found = json.loads(addresses.read_text())
        os.environ.update(FLYTEFORM_ENDPOINT=found["grpc"], FLYTEFORM_INSECURE="true")
        yield found["http"]
    finally:
        process.terminate()
        process.wait(timeout=30)


def run(http: str, workflow: str, arguments: tuple[str, ...]) -> float:
    """Execute the workflow remotely to its end; return the seconds that the platform says it took."""
    name = f"b{secrets.token_hex(8)}"
    command = [FLYTEFORM, "run", "--remote", "--name", name, "many_tasks.py", workflow, *arguments]
    subprocess.run(command, cwd=SUBJECTS, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    closure: dict[str, Any] = _get(f"{http}/api/v1/executions/flytesnacks/development/{name}")["closure"]
    return float(closure["duration"].removesuffix("s"))


def _get(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - loopback
        answer: dict[str, Any] = json.loads(response.read())
        return answer
