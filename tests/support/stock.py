"""The programs of the stock flytekit client, in the environment that `make compat` makes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from support.platform import clean_environment

COMPAT = Path(__file__).parents[1] / "compat"
WORKFLOWS = COMPAT / "workflows"
PROJECT, DOMAIN = "flytesnacks", "development"


def programs() -> Path:
    """Return the folder of its programs; `make test` says where it is, else it is where `make compat` puts it."""
    named = os.environ.get("FLYTEFORM_FLYTEKIT")
    if named is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        named = str(cache / "flyteform" / "flytekit-1.16.31")
    found = Path(named) / "bin"
    assert (found / "pyflyte").exists(), f"no stock client in {found}: run `make compat`"
    return found


def environment(home: Path, endpoint: str) -> dict[str, str]:
    """Return the environment of a user whose client talks to this endpoint."""
    return {**clean_environment(home), "FLYTE_PLATFORM_URL": endpoint, "FLYTE_PLATFORM_INSECURE": "true"}


def call(program: Path, *arguments: str, home: Path, endpoint: str) -> subprocess.CompletedProcess[str]:
    """Run one of its programs to its end, beside the users' workflows."""
    return subprocess.run(
        [str(program), *arguments],
        cwd=WORKFLOWS,
        env=environment(home, endpoint),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def seen(script: str, *arguments: str, home: Path, endpoint: str) -> dict[str, Any]:
    """Run one of our scripts with its interpreter and return the JSON object in its last line."""
    ran = call(programs() / "python", str(COMPAT / script), *arguments, home=home, endpoint=endpoint)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found
