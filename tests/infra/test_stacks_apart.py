"""Stacks that do not fit: outputs that another has not, configurations of an older program, other environments."""

from __future__ import annotations

import shutil
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from flyteform_aws.config import AwsConfig
from flyteform_azure.config import AzureConfig
from flyteform_gcp.config import GcpConfig
from flyteform_onprem.config import OnPremConfig
from flyteform_platform.cli.stack import Answers, files
from flyteform_platform.config.reading import parse_config
from support.recording.stacks import ROOT, stack_of

if TYPE_CHECKING:
    from pathlib import Path

    from support.recording.stacks import Recordings

BASE = "organization/flyteform-example/base"
MODELS = {"aws": AwsConfig, "gcp": GcpConfig, "azure": AzureConfig, "onprem": OnPremConfig}
POOL = {"name": "system", "machines": ["any"], "minimum": 1, "system": True}
# All that a stack of the first release had to say: whatever has come since has a default.
LEAST: dict[str, dict[str, Any]] = {
    "aws": {
        "nodePools": [POOL],
        "aws": {
            "account": "111122223333",
            "region": "eu-west-1",
            "administrators": ["arn:aws:iam::111122223333:role/people"],
        },
    },
    "gcp": {
        "nodePools": [POOL],
        "gcp": {
            "project": "example-project",
            "number": "100000000003",
            "region": "europe-west1",
            "administrators": ["group:people@example.com"],
            "tokenImage": f"example.com/sdk@sha256:{'1' * 64}",
        },
    },
    "azure": {
        "nodePools": [POOL],
        "azure": {
            "subscription": "00000000-0000-0000-0000-00000000000f",
            "tenant": "00000000-0000-0000-0000-0000000000aa",
            "location": "westeurope",
            "suffix": "one",
            "administrators": ["00000000-0000-0000-0000-0000000000bb"],
            "tokenImage": f"example.com/az@sha256:{'1' * 64}",
        },
    },
    "onprem": {
        "onprem": {
            "postgres": {"cluster": {}},
            "s3": {"seaweedfs": {}},
        },
        "addons": {"cloudnativePg": {"enabled": True}},
    },
}


@pytest.mark.parametrize("cloud", MODELS)
def test_oldest(cloud: str) -> None:
    """A configuration of the first release is one of this: no field was added without a default, none was taken."""
    edge = {"domain": "flyte.example.com", "certificateSecret": "tls"}
    found = parse_config(MODELS[cloud], {"name": "first", "preset": "dev", "edge": edge, **LEAST[cloud]})
    assert found.name == "first"


def test_output_missing(recordings: Recordings, tmp_path: Path) -> None:
    """A stack that was never brought up, or by an older program, is named, with what it lacks and what to do."""
    text = (
        "import pulumi\nfrom flyteform_platform.references import required\n"
        f"required(pulumi.StackReference({BASE!r}), 'nothing').apply(print)\n"
    )
    (tmp_path / "__main__.py").write_text(text)
    (tmp_path / "Pulumi.yaml").write_text("name: flyteform-example\n")
    stack = replace(stack_of("example", "base"), folder=tmp_path)
    graph = recordings.record(stack, tmp_path.name, changes={"flyteform-example:other": BASE})
    told = " ".join([graph.failure, *graph.problems])
    assert f"the stack {BASE} has no output nothing" in told
    assert "run `pulumi up` there first" in told


def test_part_missing(recordings: Recordings) -> None:
    """A data plane with a project that its base does not know is told so by the path of the output."""
    stack = stack_of("azure", "prod-dataplane-azure")
    key = "flyteform-azure:platform"
    document = deepcopy(stack.settings[key])
    document["projects"] = [*document["projects"], {"name": "newcomer", "domains": ["development"]}]
    graph = recordings.record(stack, "azure-newcomer", changes={key: document})
    told = " ".join([graph.failure, *graph.problems])
    assert "organization/flyteform-azure/prod-base has no output foundation" in told
    assert ".identities.workloads.newcomer/development" in told


@pytest.mark.parametrize("cloud", MODELS)
@pytest.mark.parametrize("preset", ["dev", "staging", "prod"])
def test_new_environments(tmp_path: Path, cloud: str, preset: str) -> None:
    """Every cloud's new environments are configurations, have the answers, and name no stack of another environment."""
    shutil.copytree(ROOT / "stacks" / cloud, tmp_path / cloud)
    answers = Answers(cloud, "team-a", preset, "flyte-a", "flyte.a.example.com", "acme")
    made = files(tmp_path / cloud, answers)
    assert made
    for path, text in made.items():
        document = yaml.safe_load(text)["config"][f"flyteform-{cloud}:platform"]
        config = parse_config(MODELS[cloud], document)
        assert (config.name, config.edge.domain) == ("flyte-a", "flyte.a.example.com")
        named = [each for each in config.stacks.model_dump().values() if each]
        assert all(each.startswith(f"acme/flyteform-{cloud}/team-a-") for each in named), path.name
        references = {each.rpartition("/")[2] for each in named}
        assert references <= {each.name.removeprefix("Pulumi.").removesuffix(".yaml") for each in made}
