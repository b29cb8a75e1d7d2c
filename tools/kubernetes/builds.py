"""The programs of a cluster, built from the Go modules pinned here, and kept by what they were built from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tools.kubernetes import toolchain
from tools.kubernetes.settings import CACHE, ClusterError

_HERE = Path(__file__).parent
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_NO_COMMIT = "0" * 40


@dataclass(frozen=True, slots=True)
class Program:
    """A Go program: the folder with its module here, and the package in it to build."""

    name: str
    package: str

    @property
    def sources(self) -> Path:
        """The folder of its go.mod."""
        return _HERE / self.name


KUBE = Program("kube", ".")
KWOK = Program("kwok", "sigs.k8s.io/kwok/cmd/kwok")
COREDNS = Program("coredns", ".")
PROGRAMS = (KUBE, KWOK, COREDNS)


def built(program: Program) -> Path:
    """Return the program's file, building it if these sources were not built on this machine yet."""
    target = _target(program)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _build(program, target)
    return target


def is_built(program: Program) -> bool:
    """Say whether the program is there already, so that it need not be built."""
    return _target(program).exists()


def _target(program: Program) -> Path:
    return CACHE / f"{program.name}-{_digest(program)}" / program.name


def _digest(program: Program) -> str:
    digest = hashlib.sha256()
    for path in sorted(program.sources.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _build(program: Program, target: Path) -> None:
    go = toolchain.go(program.sources)
    began = time.monotonic()
    print(f"building {program.name}, once for each version of its sources …", flush=True)
    partial = target.with_suffix(".partial")
    # The checkout may be somebody else's, whose history git does not show to this user.
    options = ("-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", _flags(go, program))
    if _run(program, go, "build", *options, "-o", str(partial), program.package).returncode:
        raise ClusterError(f"{program.name} could not be built; go's messages above say why")
    partial.rename(target)
    print(f"built {program.name} in {time.monotonic() - began:.0f} s", flush=True)


def _flags(go: str, program: Program) -> str:
    flags = "-s -w"
    if program is KUBE:
        listed = _run(program, go, "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes", stdout=subprocess.PIPE)
        if listed.returncode:
            raise ClusterError("the modules of Kubernetes could not be listed; go's messages above say why")
        version = listed.stdout.strip()
        major, minor = version.removeprefix("v").split(".")[:2]
        values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        values |= {"gitCommit": _NO_COMMIT, "buildDate": "1970-01-01T00:00:00Z"}
        flags += "".join(
            f" -X {package}.{key}={value}" for package in _VERSION_PACKAGES for key, value in values.items()
        )
    return flags


def _run(program: Program, *command: str, stdout: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of Go's in the program's module; what it complains about is shown."""
    environment = {**os.environ, **toolchain.ENVIRONMENT}
    return subprocess.run(command, cwd=program.sources, env=environment, stdout=stdout, text=True, check=False)
