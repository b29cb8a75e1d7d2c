"""The Secrets that hold databases' passwords: made here, or by external-secrets from the cloud's own store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core import v1 as core

from flyteform_platform.controlplane.names import COMPONENT
from flyteform_platform.foundation import Password
from flyteform_platform.parts.deployments import metadata

if TYPE_CHECKING:
    import pulumi
    from flyteform_platform.foundation import Foundation, RemoteSecret

# The ClusterSecretStore that a cloud's module makes beside external-secrets.
STORE: Final = "flyteform"


def database_secrets(foundation: Foundation, namespace: str, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Make what this program makes of them; those that somebody else makes are waited for by the pods."""
    both = (foundation.admin.login, foundation.catalog.login)
    logins = {login.name: login for login in both if isinstance(login, Password)}
    made: list[pulumi.Resource] = []
    for name, login in logins.items():
        about = metadata(name, namespace, COMPONENT)
        if login.remote is not None:
            made.append(_external(name, about, login.key, login.remote, opts))
        elif login.value is not None:
            made.append(core.Secret(name, metadata=about, string_data={login.key: login.value}, opts=opts))
    return made


def _external(name: str, about: Any, key: str, remote: RemoteSecret, opts: pulumi.ResourceOptions) -> CustomResource:
    reference: dict[str, Any] = {"key": remote.path}
    if remote.property:
        reference["property"] = remote.property
    return CustomResource(
        f"{name}-externalsecret",
        api_version="external-secrets.io/v1",
        kind="ExternalSecret",
        metadata=about,
        spec={
            "refreshInterval": "5m",
            "secretStoreRef": {"kind": "ClusterSecretStore", "name": STORE},
            "target": {"name": name, "creationPolicy": "Owner"},
            "data": [{"secretKey": key, "remoteRef": reference}],
        },
        opts=opts,
    )
