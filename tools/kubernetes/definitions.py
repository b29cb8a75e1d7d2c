"""Definitions of resources that others maintain, from their own Go modules, whose digests are pinned here."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from tools.kubernetes import toolchain
from tools.kubernetes.settings import CACHE, ClusterError

# Folders of modules. The Prometheus operator's own module cannot be had, and MetalLB's has its definitions. That of
# external-secrets ends before version 2, which serves the same versions of these resources.
MODULES = {
    "sigs.k8s.io/gateway-api@v1.5.0": ("config/crd/standard",),
    "github.com/cert-manager/cert-manager@v1.21.2": ("deploy/crds",),
    "github.com/cloudnative-pg/cloudnative-pg@v1.28.1": ("config/crd/bases",),
    "github.com/external-secrets/external-secrets@v1.3.2": ("config/crds/bases",),
    "go.universe.tf/metallb@v0.16.1": ("config/crd/bases", "dev-env/kube-prometheus/manifests/setup"),
}
PINNED = Path(__file__).with_name("crds")
_DEFINITION = re.compile("^kind: CustomResourceDefinition$", re.MULTILINE)


def definitions() -> list[Path]:
    """Return the files, each with one definition; they are fetched if they were not fetched on this machine yet."""
    digest = hashlib.sha256(Path(__file__).read_bytes() + (PINNED / "go.sum").read_bytes()).hexdigest()[:16]
    target = CACHE / f"definitions-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "definitions.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _fetch(target)
    return sorted(target.iterdir())


def _fetch(target: Path) -> None:
    partial = target.with_name(f"{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    go = toolchain.go(PINNED)
    for number, (module, folders) in enumerate(MODULES.items()):
        here = _downloaded(go, module)
        files = [path for folder in folders for path in (here / folder).glob("*.yaml")]
        for path in files:
            if _DEFINITION.search(text := path.read_text()):
                (partial / f"{number}-{path.name}").write_text(text)
    partial.rename(target)


def _downloaded(go: str, module: str) -> Path:
    """Return the folder of a module, which is what go.sum says."""
    command = [go, "mod", "download", "-json", module]
    environment = {**os.environ, **toolchain.ENVIRONMENT, "GOFLAGS": "-mod=readonly"}
    ended = subprocess.run(command, cwd=PINNED, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise ClusterError(f"{module} could not be had: {(ended.stdout + ended.stderr).strip()[-500:]}")
    return Path(json.loads(ended.stdout)["Dir"])
