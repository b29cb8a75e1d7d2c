"""Definitions of resources that others maintain, fetched with the programs of a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def definitions() -> list[Path]:
    """Return the files, each with one definition."""
    command = [sys.executable, "-m", "tools.kubernetes", "definitions"]
    ended = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return [Path(line) for line in ended.stdout.splitlines() if line.endswith(".yaml")]
