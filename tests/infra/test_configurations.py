"""Configurations that cannot be: each is refused with the field's path, and the reason."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from flyteform_aws.config import AwsConfig
from flyteform_azure.config import AzureConfig
from flyteform_gcp.config import GcpConfig
from flyteform_platform.config.reading import parse_config
from flyteform_platform.errors import ConfigError
from support.recording.stacks import shipped, stack_of

MODELS = {"aws": AwsConfig, "gcp": GcpConfig, "azure": AzureConfig}


def settings(cloud: str, stack: str) -> dict[str, Any]:
    """Return a shipped stack's configuration."""
    found: dict[str, Any] = deepcopy(stack_of(cloud, stack).settings[f"flyteform-{cloud}:platform"])
    return found


def change(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Set a field at a path; None takes it out."""
    *parents, last = path.split(".")
    place: Any = document
    for part in parents:
        place = place[int(part) if part.isdigit() else part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return document


@pytest.mark.parametrize(("cloud", "stack"), [(cloud, stack) for cloud in MODELS for stack in shipped(cloud)])
def test_shipped(cloud: str, stack: str) -> None:
    """The shipped configurations are right as they are."""
    parse_config(MODELS[cloud], settings(cloud, stack))


@pytest.mark.parametrize("cloud", MODELS)
@pytest.mark.parametrize(
    ("stack", "path", "value", "problem"),
    [
        ("dev", "netwrok", {}, "platform.netwrok: there is no such field"),
        ("dev", "edge.domain", None, "platform.edge.domain: is missing"),
        ("dev", "network.cidr", "10.0.0.0/33", "platform.network.cidr"),
        ("dev", "nodePools.0.minimum", 9, "minimum 9 is above maximum"),
        ("dev", "nodePools.0.system", False, "no pool with system: true"),
        ("dev", "projects.0.name", "A b", "platform.projects[0].name"),
        ("prod-base", "database.highlyAvailable", False, "database.highlyAvailable: true"),
        ("prod-base", "storage.deletionProtection", False, "storage.deletionProtection: true"),
        ("prod-base", "roles", ["base", "controlplane"], "roles apart"),
        ("prod-base", "network.zones", 2, "network.zones: 3"),
        ("prod-controlplane", "stacks.base", None, "stacks.base is missing"),
        ("prod-controlplane", "controlplane.resources.cpu", "much", "platform.controlplane.resources.cpu"),
        ("prod-controlplane", "controlplane.image", "example.com/controlplane:latest", "by digest"),
    ],
)
def test_wrong(cloud: str, stack: str, path: str, value: Any, problem: str) -> None:
    """A wrong value is refused, and the message says where and why."""
    with pytest.raises(ConfigError) as refused:
        parse_config(MODELS[cloud], change(settings(cloud, stack), path, value))
    assert problem in str(refused.value)


def test_domains_apart() -> None:
    """Two domains of which one's prefix begins with the other's would share objects: refused."""
    projects = [{"name": "aa", "domains": ["b"]}, {"name": "aa-b", "domains": ["c"]}]
    with pytest.raises(ConfigError, match="aa-b and aa-b-c are not apart"):
        parse_config(AwsConfig, change(settings("aws", "dev"), "projects", projects))


@pytest.mark.parametrize(
    ("cloud", "path", "problem"),
    [
        ("aws", "aws.administrators", "nobody could reach the cluster"),
        ("aws", "aws.databaseProxy", "aws.databaseCertificates, or aws.databaseProxy: true"),
        ("aws", "aws.backups", "aws.backups: true"),
        ("gcp", "gcp.securityGroup", "gcp.securityGroup"),
        ("gcp", "gcp.tokenImage", "gcp.tokenImage is missing"),
        ("azure", "azure.administrators", "nobody could reach the cluster"),
        ("azure", "azure.acmeEmail", "edge.certificateSecret, or edge.dnsZone"),
    ],
)
def test_production(cloud: str, path: str, problem: str) -> None:
    """What production on a cloud cannot do without is asked for by name."""
    with pytest.raises(ConfigError) as refused:
        parse_config(MODELS[cloud], change(settings(cloud, "prod-base"), path, None))
    assert problem in str(refused.value)
