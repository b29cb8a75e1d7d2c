"""Definitions of resources that others maintain, from their own Go modules, verified by Go's checksum database."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# The Prometheus operator and external-secrets cannot be had this way: what they read is checked by golden files only.
MODULES = {
    "sigs.k8s.io/gateway-api@v1.4.0": "config/crd/standard",
    "github.com/cert-manager/cert-manager@v1.19.1": "deploy/crds",
    "github.com/cloudnative-pg/cloudnative-pg@v1.27.0": "config/crd/bases",
}
_PLACES = ("/usr/local/go/bin", "/usr/lib/go/bin", os.path.expanduser("~/go/bin"))  # noqa: PTH111 - part of a PATH


def definitions() -> list[Path]:
    """Return the files, each with one definition."""
    go = shutil.which("go") or shutil.which("go", path=os.pathsep.join(_PLACES))
    assert go is not None, "Go is needed to get definitions of resources: install it"
    found = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([go, "mod", "init", "definitions"], cwd=folder, check=True, capture_output=True)
        for module, below in MODULES.items():
            done = subprocess.run(
                [go, "mod", "download", "-json", module], cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            found += sorted((Path(json.loads(done.stdout)["Dir"]) / below).glob("*_*.yaml"))
    return found
