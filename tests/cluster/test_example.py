"""The example project in real pods: `flyteform run --remote`, from the user's file to the report."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.platform import FLYTEFORM, clean_environment
from support.pod_platform import NODE, PodPlatform, installed, running
from support.s3 import running_s3

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = Path(__file__).parents[2] / "infra" / "local" / "flyteform_local" / "examples" / "wine" / "wine_training.py"
IMAGE = "localhost/example:test"


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[PodPlatform]:
    """Run a platform on the cluster."""
    with installed(), running_s3(NODE) as s3, running(tmp_path, s3) as started:
        started.start_operator({"environment": s3.environment, "memory": "256Mi"})
        yield started


@pytest.mark.timeout(600)
def test_the_example_project(platform: PodPlatform) -> None:
    """A dataset goes through typed tasks and a map of classifiers, and the best one is reported."""
    environment = {
        **clean_environment(platform.folder),
        "FLYTEFORM_ENDPOINT": platform.grpc,
        "FLYTEFORM_INSECURE": "true",
        "FLYTEFORM_IMAGE": IMAGE,
    }
    command = [FLYTEFORM, "run", "--remote", "--name", "wine", str(EXAMPLE), "train_wine"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_accuracy" in done.stdout
