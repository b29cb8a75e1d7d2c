"""What a cluster lacks is said before anything is made: all of it, with what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from flyteform_onprem.config import OnPremConfig
from flyteform_onprem.facts import read_facts, write_facts
from flyteform_onprem.preflight import missing, require
from flyteform_platform.config.reading import parse_config
from flyteform_platform.errors import ConfigError, PlatformError

if TYPE_CHECKING:
    from flyteform_onprem.facts import ClusterFacts

ROOT = Path(__file__).parents[3]
FACTS = read_facts((ROOT / "tests" / "infra" / "facts.json").read_text())


def config(stack: str = "dev", **changes: object) -> OnPremConfig:
    """Return the configuration of a stack that is shipped."""
    document = yaml.safe_load((ROOT / "stacks" / "onprem" / f"Pulumi.{stack}.yaml").read_text())
    return parse_config(OnPremConfig, {**document["config"]["flyteform-onprem:platform"], **changes})


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (replace(FACTS, version=(1, 29)), "Kubernetes is 1.29: upgrade it to 1.32"),
        (replace(FACTS, refused=("create namespaces",)), "may not create namespaces"),
        (replace(FACTS, jwks='{"keys": []}'), "/openid/v1/jwks"),
        (replace(FACTS, default_storage_class=""), "there is no default storage class"),
    ],
)
def test_cluster(facts: ClusterFacts, told: str) -> None:
    """Each thing that is missing is told with its remedy, and nothing else is."""
    assert not missing(config(), FACTS)
    with pytest.raises(PlatformError, match="not ready") as refused:
        require(config(), facts)
    assert told in str(refused.value)


def test_present_addons() -> None:
    """An add-on that is said to be there and is not, is told; production needs three nodes."""
    facts = replace(FACTS, groups=("apps",), nodes=1)
    told = "\n".join(missing(config("prod-controlplane"), facts))
    assert "addons.monitoring is present: true, and the cluster has no monitoring.coreos.com" in told
    assert "the cluster has 1 nodes" in told


def test_saved_facts() -> None:
    """Facts that were saved are read as they were."""
    assert read_facts(write_facts(FACTS)) == FACTS


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"onprem": {"postgres": {}, "s3": {}}}, "platform.onprem.postgres: say either external or cluster"),
        ({"addons": {"metallb": {"enabled": True}}}, "needs addons.cloudnativePg"),
        ({"preset": "prod"}, "the preset prod needs database.highlyAvailable: true"),
        ({"projects": [{"name": "a", "domains": ["b"], "limits": {"c": {}}}]}, "platform.projects[0]"),
        ({"edge": {"domain": "not a host"}}, "platform.edge.domain"),
    ],
)
def test_configuration(changes: dict[str, object], told: str) -> None:
    """What cannot be is refused with the path of its field."""
    with pytest.raises(ConfigError) as refused:
        config(**changes)
    assert told in str(refused.value)
