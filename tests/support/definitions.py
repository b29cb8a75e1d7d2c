"""Definitions of resources that others maintain, from their own Go modules, verified by Go's checksum database."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

# Folders of modules. The Prometheus operator's own module cannot be had, and MetalLB's has its definitions. That of
# external-secrets ends before version 2, which serves the same versions of these resources.
MODULES = {
    "sigs.k8s.io/gateway-api@v1.5.0": ("config/crd/standard",),
    "github.com/cert-manager/cert-manager@v1.21.2": ("deploy/crds",),
    "github.com/cloudnative-pg/cloudnative-pg@v1.28.1": ("config/crd/bases",),
    "github.com/external-secrets/external-secrets@v1.3.2": ("config/crds/bases",),
    "go.universe.tf/metallb@v0.16.1": ("config/crd/bases", "dev-env/kube-prometheus/manifests/setup"),
}
_DEFINITION = re.compile("^kind: CustomResourceDefinition$", re.MULTILINE)
_PLACES = ("/usr/local/go/bin", "/usr/lib/go/bin", os.path.expanduser("~/go/bin"))  # noqa: PTH111 - part of a PATH


def definitions() -> list[Path]:
    """Return the files, each with one definition."""
    go = shutil.which("go") or shutil.which("go", path=os.pathsep.join(_PLACES))
    assert go is not None, "Go is needed to get definitions of resources: install it"
    found = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([go, "mod", "init", "definitions"], cwd=folder, check=True, capture_output=True)
        for module, folders in MODULES.items():
            done = subprocess.run(
                [go, "mod", "download", "-json", module], cwd=folder, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            here = Path(json.loads(done.stdout)["Dir"])
            files = [path for folder in folders for path in sorted((here / folder).glob("*.yaml"))]
            found += [path for path in files if _DEFINITION.search(path.read_text())]
    return found
