"""What Prefect, Dagster and Airflow take for the same work on this machine, each in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SUBJECTS = Path(__file__).parent / "subjects"
TOOLS = Path(__file__).parents[1] / "tools"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "flyteform" / "peers"
PATIENCE = 900.0  # seconds for one peer


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer from PyPI, and how much work is enough to see what it takes; `before` prepares its database."""

    package: str
    script: str
    chain: int
    items: int
    executions: int
    before: tuple[str, ...] = ()  # commands of airflow's
    beside: tuple[str, ...] = ()  # what else has to be installed, so that it starts at all


PEERS = (
    Peer("prefect", "peer_prefect.py", 40, 100, 5, beside=("fastapi<0.120",)),
    Peer("dagster", "peer_dagster.py", 10, 5, 1),
    Peer("apache-airflow", "airflow/peer_airflow.py", 20, 10, 3, before=("db migrate", "dags reserialize")),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds for a task of a chain, for an item of a map, and for an execution of three nodes among many."""

    chain: float
    item: float
    execution: float


def measure(peer: Peer) -> Figures | str:
    """Return what the peer takes, or why that cannot be said here."""
    python = _python(peer)
    if python is None:
        return "it cannot be installed here"
    counts = [str(peer.chain), str(peer.items), str(peer.executions)]
    commands = [["-m", "airflow", *words.split()] for words in peer.before]
    with tempfile.TemporaryDirectory() as home:
        environment = _environment(home, counts)
        for command in (*commands, [str(SUBJECTS / peer.script), *counts]):
            try:
                done = subprocess.run(
                    [str(python), *command], cwd=home, env=environment, stdin=subprocess.DEVNULL,
                    capture_output=True, text=True, timeout=PATIENCE, check=True,
                )  # fmt: skip
            except subprocess.CalledProcessError as error:
                return f"it fails: {' '.join(error.stderr.strip().splitlines()[-1:])}"
            except subprocess.TimeoutExpired:
                return f"it has not ended after {PATIENCE:.0f} s"
    chain, items, executions = json.loads(done.stdout.strip().splitlines()[-1])
    return Figures(chain * 1000 / peer.chain - 10, items * 1000 / peer.items, executions * 1000 / peer.executions)


def _environment(home: str, counts: list[str]) -> dict[str, str]:
    """Return the variables of a peer that keeps all that it has in `home`."""
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
        "HOME": home,
        "PEER_COUNTS": " ".join(counts),
        "PREFECT_HOME": home,
        "PREFECT_LOGGING_LEVEL": "ERROR",
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
        if subprocess.run([str(TOOLS / "uv"), *command], capture_output=True, check=False).returncode != 0:
            return None
    done.touch()
    return python
