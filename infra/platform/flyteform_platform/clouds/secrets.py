"""Secrets of projects' tasks: their names in the cloud's own store, and how external-secrets is let at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta import v1 as meta

import pulumi
from flyteform_platform.addons import charts
from flyteform_platform.controlplane.secrets import STORE
from flyteform_platform.dataplane.projects import project_scopes
from flyteform_platform.dataplane.secrets import path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_kubernetes as kubernetes

    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.foundation import Scope


# The namespace and service account of external-secrets, as its chart makes them.
EXTERNAL_SECRETS: Final = (charts.EXTERNAL_SECRETS.namespace, charts.EXTERNAL_SECRETS.name)


@dataclass(frozen=True, slots=True)
class TaskSecret:
    """One secret of one project's domain. `path` is its name in the store; people put its values there, as JSON."""

    scope: Scope
    name: str
    path: str

    @property
    def key(self) -> str:
        """What it is called among resources: unique in a platform."""
        return f"{self.scope.namespace}-{self.name}"


def task_secrets(config: PlatformConfig, template: str) -> list[TaskSecret]:
    """Return all secrets of all domains; the template is as `ClusterProfile.secret_path`."""
    return [
        TaskSecret(scope, name, path_of(config.name, template, scope, name))
        for project, scope in project_scopes(config)
        for name in project.secrets
    ]


def secret_store(
    config: PlatformConfig, store: dict[str, Any], provider: kubernetes.Provider, after: Sequence[pulumi.Resource]
) -> pulumi.Resource:
    """Let external-secrets read from the cloud's store, as who it is, for the platform's namespaces alone."""
    namespaces = [config.control_plane.namespace, *(scope.namespace for _, scope in project_scopes(config))]
    return CustomResource(
        f"{STORE}-store",
        api_version="external-secrets.io/v1",
        kind="ClusterSecretStore",
        metadata=meta.ObjectMetaArgs(name=STORE),
        spec={"provider": store, "conditions": [{"namespaces": namespaces}]},
        opts=pulumi.ResourceOptions(provider=provider, depends_on=list(after)),
    )
