"""Secrets of a domain's tasks: copies of what the cloud's store has, kept by external-secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_kubernetes.apiextensions import CustomResource

from flyteform_platform.controlplane.secrets import STORE
from flyteform_platform.parts.deployments import metadata

if TYPE_CHECKING:
    import pulumi
    from flyteform_platform.foundation import Scope


def path_of(platform: str, template: str, scope: Scope, secret: str) -> str:
    """Return a secret's name in the store."""
    return template.format(name=platform, project=scope.project, domain=scope.domain, secret=secret)


def task_secret(scope: Scope, name: str, path: str, opts: pulumi.ResourceOptions) -> CustomResource:
    """Make a Secret in the domain's namespace: a task's `Secret(group=name, key=…)` is a key of the stored JSON."""
    return CustomResource(
        f"{scope.namespace}-{name}-externalsecret",
        api_version="external-secrets.io/v1",
        kind="ExternalSecret",
        metadata=metadata(name, scope.namespace, "project"),
        spec={
            "refreshInterval": "1h",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": STORE},
            "target": {"name": name, "creationPolicy": "Owner"},
            "dataFrom": [{"extract": {"key": path}}],
        },
        opts=opts,
    )
