"""Who may do what on AWS: the policies of the recorded graph, enforced by moto; what they allow, and what they deny."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

METADATA, RAW = "flyteform-prod-metadata-444455556666", "flyteform-prod-raw-444455556666"
GET, PUT, DELETE = "get_object", "put_object", "delete_object"
_SCRIPT = Path(__file__).parent / "moto" / "enforce.py"


@pytest.fixture
def moto() -> Path:
    """Return the Python of the environment that has moto; `make test` makes it."""
    environment = os.environ.get("FLYTEFORM_MOTO")
    if environment is None:
        message = "FLYTEFORM_MOTO names no environment: run `make test`"
        pytest.fail(message) if "CI" in os.environ else pytest.skip(message)
    return Path(environment) / "bin" / "python"


def answers(moto: Path, recordings: Recordings, role: str, calls: list[tuple[str, str, str]]) -> list[str]:
    """Return what the calls are answered to the pods of a role."""
    policy = recordings.shipped("aws", "prod-base").one("iam/rolePolicy:RolePolicy", f"pods-{role}").at("policy")
    asked = {"buckets": [METADATA, RAW], "policy": json.loads(policy), "calls": calls}
    done = subprocess.run([moto, _SCRIPT], input=json.dumps(asked), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("role", "allowed", "denied"),
    [
        (
            "controlplane",
            [
                (PUT, METADATA, "metadata/admin/a"),
                (GET, METADATA, "uploads/fraud/production/b"),
                (DELETE, METADATA, "uploads/c"),
            ],
            [(GET, RAW, "raw/fraud/production/x"), (PUT, METADATA, "elsewhere/x"), ("delete_bucket", METADATA, "")],
        ),
        (
            "dataplane",
            [
                (PUT, METADATA, "metadata/propeller/fraud-production-x/n0/data/0/outputs.pb"),
                (GET, METADATA, "metadata/admin/a"),
                (GET, RAW, "raw/fraud/production/x"),
            ],
            [(PUT, METADATA, "metadata/admin/a"), (DELETE, METADATA, "uploads/a"), ("delete_bucket", RAW, "")],
        ),
        (
            "fraud-production",
            [
                (PUT, METADATA, "metadata/propeller/fraud-production-x/n0/data/0/outputs.pb"),
                (GET, METADATA, "uploads/fraud/production/bundle.tar.gz"),
                (PUT, RAW, "raw/fraud/production/x"),
                (DELETE, RAW, "raw/fraud/production/x"),
            ],
            [
                (PUT, METADATA, "metadata/propeller/fraud-development-x/n0/data/0/outputs.pb"),
                (GET, METADATA, "metadata/propeller/forecasting-production-x/n0/data/inputs.pb"),
                (PUT, METADATA, "uploads/fraud/production/bundle.tar.gz"),
                (GET, METADATA, "metadata/admin/a"),
                (GET, RAW, "raw/forecasting/production/x"),
                (GET, RAW, "raw/fraud/development/x"),
                ("delete_bucket", RAW, ""),
            ],
        ),
        ("external-secrets", [], [(GET, METADATA, "metadata/admin/a"), (GET, RAW, "raw/fraud/production/x")]),
    ],
)
def test_access(
    moto: Path,
    recordings: Recordings,
    role: str,
    allowed: list[tuple[str, str, str]],
    denied: list[tuple[str, str, str]],
) -> None:
    """A role's pods may do what they have to, and nothing to what is others'."""
    found = answers(moto, recordings, role, [*allowed, *denied])
    assert dict(zip([*allowed, *denied], found, strict=True)) == {
        **dict.fromkeys(allowed, "allowed"),
        **dict.fromkeys(denied, "denied"),
    }


def test_lists_below_prefixes_only(recordings: Recordings) -> None:
    """Listing is bound to one's own prefixes by a condition, and keys are used through S3 alone."""
    policy = (
        recordings.shipped("aws", "prod-base").one("iam/rolePolicy:RolePolicy", "pods-fraud-production").at("policy")
    )
    statements = {each["Sid"]: each for each in json.loads(policy)["Statement"]}
    assert statements["RawList"]["Condition"] == {"StringLike": {"s3:prefix": ["raw/fraud/production/*"]}}
    assert statements["BundlesList"]["Condition"] == {"StringLike": {"s3:prefix": ["uploads/fraud/production/*"]}}
    assert statements["Key"]["Condition"] == {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
