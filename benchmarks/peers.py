"""What Prefect, Dagster and Airflow take for the same work on this machine, each in an environment of its own.

Each keeps its state durably as it does by default on one machine: Prefect a server with SQLite and results in files,
Dagster runs, events and outputs in SQLite and files, Airflow its metadata and XComs in SQLite. None of them is asked to
sync what it writes to the disk, as flyteform does. The time runs until the peer's own records say that all has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SUBJECTS = Path(__file__).parent / "subjects"
TOOLS = Path(__file__).parents[1] / "tools"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flyteform" / "peers"
PATIENCE = 210.0  # seconds for one peer, its database made; what it has measured by then counts
_PREPARING = 120.0  # seconds for each command that makes the database
_INSTALLING = 240.0  # seconds, once
_NAP = 10.0  # milliseconds that a task of a chain takes by itself


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer from PyPI, how it runs tasks, and how much work is enough to see what it takes.

    `before` prepares its database.
    """

    package: str
    how: str
    script: str
    chain: int
    items: int
    executions: int
    before: tuple[str, ...] = ()  # commands of airflow's
    beside: tuple[str, ...] = ()  # what else has to be installed, so that it starts at all


PEERS = (
    Peer("prefect", "in threads of one process", "peer_prefect.py", 40, 1000, 20, beside=("fastapi<0.120",)),
    Peer("dagster", "a process for each, as here", "peer_dagster.py", 10, 5, 1),
    Peer(
        "apache-airflow",
        "all in one process, without its scheduler",
        "airflow/peer_airflow.py",
        20,
        10,
        3,
        before=("db migrate", "dags reserialize"),
    ),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """Milliseconds until the peer knows that all has ended, and until the caller did, where that is sooner."""

    known: float
    returned: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a task of a chain takes, an item of a map, and an execution of three nodes among many.

    What was not measured is None, and `trouble` says why.
    """

    chain: Figure | None = None
    item: Figure | None = None
    execution: Figure | None = None
    trouble: str = ""


def measure(peer: Peer) -> Figures:
    """Return what the peer takes, as far as that can be said here."""
    python = _python(peer)
    if python is None:
        return Figures(trouble="it cannot be installed here")
    counts = [str(peer.chain), str(peer.items), str(peer.executions)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        environment = _environment(home, counts)
        for words in peer.before:
            _, trouble = _run([str(python), "-m", "airflow", *words.split()], home, environment, _PREPARING)
            if trouble:
                return Figures(trouble=f"{words}: {trouble}")
        said, trouble = _run([str(python), str(SUBJECTS / peer.script), *counts], home, environment, PATIENCE)
    told = _told(said)
    return Figures(
        chain=_figure(told.get("chain"), peer.chain, _NAP),
        item=_figure(told.get("map"), peer.items),
        execution=_figure(told.get("executions"), peer.executions),
        trouble=trouble,
    )


def _figure(told: dict[str, float] | None, count: int, nap: float = 0.0) -> Figure | None:
    if told is None:
        return None
    known, returned = (told[name] * 1000 / count - nap if name in told else None for name in ("seconds", "returned"))
    return None if known is None else Figure(known, returned)


def _run(command: list[str], home: str, environment: dict[str, str], patience: float) -> tuple[str, str]:
    """Run a program in a session of its own; return what it printed, and what was wrong if something was.

    Whatever it has started ends with it.
    """
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as complained:
        process = subprocess.Popen(
            command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=printed, stderr=complained,
            start_new_session=True,
        )  # fmt: skip
        try:
            code: int | None = process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        printed.seek(0)
        complained.seek(0)
        said, complaints = printed.read(), complained.read().strip().splitlines()
    if code is None:
        return said, f"it has not ended after {patience:.0f} s"
    return said, f"it fails: {(complaints or ['it does not say why'])[-1][:200]}" if code else ""


def _told(said: str) -> dict[str, dict[str, float]]:
    """Return the seconds of each case that was measured: a line of JSON each, among whatever else is printed."""
    lines = [json.loads(line) for line in said.splitlines() if line.startswith('{"case"')]
    return {line.pop("case"): line for line in lines}


def _environment(home: str, counts: list[str]) -> dict[str, str]:
    """Return the variables of a peer that keeps all that it has in `home`."""
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": home,
        "PEER_COUNTS": " ".join(counts),
        "PREFECT_HOME": home,
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true",  # or a crash would lose what tasks have returned
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
        "DAGSTER_HOME": home,
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(SUBJECTS / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    }


def _python(peer: Peer) -> Path | None:
    """Return the interpreter of the peer's environment, which is made once."""
    folder = CACHE / peer.package
    python, done = folder / "bin" / "python", folder / "installed"
    if done.exists():
        return python
    for command in (
        ("venv", "--clear", str(folder)),
        ("pip", "install", "--python", str(python), peer.package, *peer.beside),
    ):
        try:
            subprocess.run([str(TOOLS / "uv"), *command], capture_output=True, check=True, timeout=_INSTALLING)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return None
    done.touch()
    return python
