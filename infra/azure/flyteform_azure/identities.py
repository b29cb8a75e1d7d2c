"""Who pods are in Azure: an identity for each component and each domain of a project, bound to one account. No keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_azure_native import managedidentity

from flyteform_azure.context import BLOB_CONTRIBUTOR, BLOB_DELEGATOR, BLOB_READER, DNS_CONTRIBUTOR, SECRETS_USER
from flyteform_azure.keys import make_identity
from flyteform_platform.clouds.secrets import EXTERNAL_SECRETS
from flyteform_platform.controlplane.names import ACCOUNT as CONTROL_PLANE
from flyteform_platform.dataplane.names import ACCOUNT as DATA_PLANE
from flyteform_platform.dataplane.projects import project_scopes

if TYPE_CHECKING:
    import pulumi
    from flyteform_azure.cluster import AksCluster
    from flyteform_azure.context import Context
    from flyteform_azure.keys import Keys
    from flyteform_azure.storage import Storage

# Tasks run as this service account of the namespace `<project>-<domain>`, unless a launch plan names another.
WORKLOAD = "default"
CERT_MANAGER = ("cert-manager", "cert-manager")
_BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
_ACTIONS = ("read", "write", "add/action", "delete")


@dataclass(frozen=True, slots=True)
class Clients:
    """Ids of the identities that service accounts name; `workloads` by project and domain."""

    control_plane: pulumi.Output[str]
    data_plane: pulumi.Output[str]
    cert_manager: pulumi.Output[str] | None
    external_secrets: pulumi.Output[str] | None
    workloads: dict[str, pulumi.Output[str]]


def federate(
    context: Context,
    cluster: AksCluster,
    name: str,
    identity: managedidentity.UserAssignedIdentity,
    namespace: str,
    account: str,
    *,
    after: managedidentity.FederatedIdentityCredential | None = None,
) -> managedidentity.FederatedIdentityCredential:
    """Let the pods of one service account in this cluster be the identity. Azure makes one of an identity at a time."""
    return managedidentity.FederatedIdentityCredential(
        name,
        federated_identity_credential_resource_name=f"{namespace}-{account}",
        resource_name_=identity.name,
        resource_group_name=context.group_name,
        issuer=cluster.resource.oidc_issuer_profile.apply(lambda found: str(found.issuer_url) if found else ""),
        subject=f"system:serviceaccount:{namespace}:{account}",
        audiences=["api://AzureADTokenExchange"],
        opts=context.options(after=[after] if after else ()),
    )


def only_below(*prefixes: str) -> str:
    """Return the condition that a role holds for blobs below these prefixes alone."""
    acts = " AND ".join(f"!(ActionMatches{{'{_BLOBS}/{action}'}})" for action in _ACTIONS)
    paths = " OR ".join(f"@Resource[{_BLOBS}:path] StringLike '{prefix}*'" for prefix in prefixes)
    return f"(({acts}) OR ({paths}))"


def make_identities(context: Context, cluster: AksCluster, storage: Storage, keys: Keys) -> Clients:
    """Make every identity with its roles, on containers and not on the account."""
    config = context.config
    make = _Maker(context, cluster, storage)
    control_plane = make.identity("controlplane", config.control_plane.namespace, CONTROL_PLANE)
    make.blobs("controlplane", control_plane, "metadata", BLOB_CONTRIBUTOR, "metadata/", "uploads/")
    data_plane = make.identity("dataplane", config.data_plane.namespace, DATA_PLANE)
    make.blobs("dataplane-executions", data_plane, "metadata", BLOB_CONTRIBUTOR, "metadata/propeller/")
    make.blobs("dataplane-metadata", data_plane, "metadata", BLOB_READER, "metadata/", "uploads/")
    make.blobs("dataplane-raw", data_plane, "raw", BLOB_CONTRIBUTOR, "raw/")
    for name, identity in (("controlplane", control_plane), ("dataplane", data_plane)):
        # They sign URLs with keys that the account delegates to them for hours.
        context.assign(f"{name}-signs", identity.principal_id, BLOB_DELEGATOR, storage.account.id)
    workloads = {}
    for _, scope in project_scopes(config):
        who = make.identity(scope.namespace, scope.namespace, WORKLOAD)
        make.blobs(
            f"{scope.namespace}-executions", who, "metadata", BLOB_CONTRIBUTOR, f"metadata/propeller/{scope.namespace}-"
        )
        make.blobs(f"{scope.namespace}-uploads", who, "metadata", BLOB_READER, f"uploads/{scope.key}/")
        make.blobs(f"{scope.namespace}-raw", who, "raw", BLOB_CONTRIBUTOR, f"raw/{scope.key}/")
        workloads[scope.key] = who.client_id
    return Clients(control_plane.client_id, data_plane.client_id, make.certificates(), make.secrets(keys), workloads)


@dataclass(frozen=True, slots=True)
class _Maker:
    context: Context
    cluster: AksCluster
    storage: Storage

    def identity(self, name: str, namespace: str, account: str) -> managedidentity.UserAssignedIdentity:
        """Make an identity for one service account."""
        identity = make_identity(self.context, name)
        federate(self.context, self.cluster, name, identity, namespace, account)
        return identity

    def blobs(
        self, name: str, identity: managedidentity.UserAssignedIdentity, container: str, role: str, *prefixes: str
    ) -> None:
        """Give a role for what is below prefixes of a container."""
        scope = self.storage.containers[container].id
        self.context.assign(name, identity.principal_id, role, scope, condition=only_below(*prefixes))

    def secrets(self, keys: Keys) -> pulumi.Output[str] | None:
        """Make who reads the secrets of tasks, where there are some."""
        if not self.context.config.keeps_secrets:
            return None
        identity = self.identity("external-secrets", *EXTERNAL_SECRETS)
        self.context.assign("external-secrets", identity.principal_id, SECRETS_USER, keys.data.vault.id)
        return identity.client_id

    def certificates(self) -> pulumi.Output[str] | None:
        """Make who proves to the authority of certificates that the domain is ours."""
        config = self.context.config
        if not config.issues_certificates:
            return None
        identity = self.identity("cert-manager", *CERT_MANAGER)
        groups = f"/subscriptions/{config.azure.subscription}/resourceGroups/{config.azure.dns_group}"
        zone = f"{groups}/providers/Microsoft.Network/dnsZones/{config.edge.dns_zone}"
        self.context.assign("cert-manager", identity.principal_id, DNS_CONTRIBUTOR, zone)
        return identity.client_id
