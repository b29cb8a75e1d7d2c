"""The manifests of production, by the rules of checkov: none fails but for a reason that is written here."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

_TEMPLATE = (
    "it is merged with what a task brings: image, resources and security are its container's, see docs/guide/pods.md"
)
# Rule and kind, and why it may fail.
_PULLED = "a task's image is named by a tag that is not moved, or by its digest: what is there is right"
EXCEPTIONS = {
    **{(f"CKV_K8S_{number}", "PodTemplate"): _TEMPLATE for number in (8, 9, 10, 11, 12, 13, 14, 22, 43)},
    ("CKV_K8S_11", "Deployment"): "a limit on CPU throttles a pod while the node is idle; requests share it when not",
    ("CKV_K8S_11", "Job"): "as for Deployment",
    ("CKV_K8S_15", "PodTemplate"): _PULLED,
    ("CKV_K8S_35", "Deployment"): "S3 on premises has keys, which its client takes from the environment",
    ("CKV_K8S_38", "Deployment"): "the operator calls the API server, which is its work",
    ("CKV_K8S_38", "Job"): "the release writes the login's Secret, once",
}
STACKS = (
    ("aws", "prod-platform"),
    ("aws", "prod-controlplane"),
    ("aws", "prod-dataplane-main"),
    ("azure", "prod-controlplane"),
    ("onprem", "prod-controlplane"),
)


@pytest.fixture
def checkov() -> Path:
    """Return the command of the environment that has checkov; `make test` makes it."""
    environment = os.environ.get("FLYTEFORM_CHECKOV")
    if environment is None:
        message = "FLYTEFORM_CHECKOV names no environment: run `make test`"
        pytest.fail(message) if "CI" in os.environ else pytest.skip(message)
    return Path(environment) / "bin" / "checkov"


@pytest.mark.timeout(300)
def test_rules(checkov: Path, recordings: Recordings, tmp_path: Path) -> None:
    """No rule fails without a reason, and no reason is left over."""
    for cloud, stack in STACKS:
        manifests = recordings.shipped(cloud, stack).manifests
        (tmp_path / f"{cloud}-{stack}.yaml").write_text(yaml.safe_dump_all(manifests))
    options = ["--framework", "kubernetes", "--skip-download", "--output", "json", "--quiet", "--compact"]
    # Its exit code is 1 where a rule failed, which the exceptions may explain.
    done = subprocess.run([checkov, *options, "--directory", tmp_path], capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 500
    failed = {
        (each["check_id"], each["resource"].partition(".")[0]): f"{each['check_name']}: {each['resource']}"
        for each in report["results"]["failed_checks"]
    }
    assert {key: text for key, text in failed.items() if key not in EXCEPTIONS} == {}
    assert set(EXCEPTIONS) - set(failed) == set(), "these no longer fail: take them out"
