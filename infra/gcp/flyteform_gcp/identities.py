"""Who pods are in Google Cloud: accounts for what signs URLs, principals of Kubernetes for all others. No keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_gcp import serviceaccount, storage

from flyteform_platform.controlplane.names import ACCOUNT as CONTROL_PLANE
from flyteform_platform.controlplane.names import RELEASE_ACCOUNT
from flyteform_platform.dataplane.names import ACCOUNT as DATA_PLANE
from flyteform_platform.dataplane.projects import project_scopes

if TYPE_CHECKING:
    import pulumi
    from flyteform_gcp.buckets import Buckets
    from flyteform_gcp.context import Context

# Tasks run as this service account of the namespace `<project>-<domain>`, unless a launch plan names another.
WORKLOAD = "default"
_READ, _WRITE = "roles/storage.objectViewer", "roles/storage.objectUser"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts of the planes: they sign URLs, which principals of Kubernetes cannot."""

    control_plane: serviceaccount.Account
    data_plane: serviceaccount.Account


def make_accounts(context: Context) -> Accounts:
    """Make both accounts, each for the pods of one service account in the cluster."""
    config = context.config
    return Accounts(
        # What migrates the databases at a release logs in as the control plane does.
        _account(context, "controlplane", config.control_plane.namespace, CONTROL_PLANE, RELEASE_ACCOUNT),
        _account(context, "dataplane", config.data_plane.namespace, DATA_PLANE),
    )


def grant_objects(context: Context, buckets: Buckets, accounts: Accounts) -> None:
    """Let everybody read and write what is theirs, and nothing else."""
    grants = _Grants(context)
    metadata, raw = buckets.metadata, buckets.raw
    control_plane, data_plane = (
        account.email.apply("serviceAccount:{}".format) for account in (accounts.control_plane, accounts.data_plane)
    )
    grants.objects("controlplane-metadata", metadata, control_plane, _WRITE, "metadata/")
    grants.objects("controlplane-uploads", metadata, control_plane, _WRITE, "uploads/")
    grants.objects("dataplane-executions", metadata, data_plane, _WRITE, "metadata/propeller/")
    grants.objects("dataplane-metadata", metadata, data_plane, _READ, "metadata/")
    grants.objects("dataplane-uploads", metadata, data_plane, _READ, "uploads/")
    grants.objects("dataplane-raw", raw, data_plane, _WRITE, "raw/")
    for _, scope in project_scopes(context.config):
        member = context.config.workload(scope.namespace, WORKLOAD)
        name = scope.namespace
        grants.objects(f"{name}-executions", metadata, member, _WRITE, f"metadata/propeller/{name}-")
        grants.folder(f"{name}-uploads", metadata, member, _READ, f"uploads/{scope.key}/")
        grants.folder(f"{name}-raw", raw, member, _WRITE, f"raw/{scope.key}/")


@dataclass(frozen=True, slots=True)
class _Grants:
    context: Context

    def objects(self, name: str, bucket: storage.Bucket, member: pulumi.Input[str], role: str, prefix: str) -> None:
        """Grant objects below a prefix. Listing asks for the bucket, which the condition does not match."""
        expression = bucket.name.apply(
            lambda text: f'resource.name.startsWith("projects/_/buckets/{text}/objects/{prefix}")'
        )
        storage.BucketIAMMember(
            name,
            bucket=bucket.name,
            role=role,
            member=member,
            condition=storage.BucketIAMMemberConditionArgs(title=name[:100], expression=expression),
            opts=self.context.options(),
        )

    def folder(self, name: str, bucket: storage.Bucket, member: str, role: str, path: str) -> None:
        """Grant a folder with everything in it, listing too."""
        folder = storage.ManagedFolder(name, bucket=bucket.name, name=path, opts=self.context.options())
        storage.ManagedFolderIamMember(
            name,
            bucket=bucket.name,
            managed_folder=folder.name,
            role=role,
            member=member,
            opts=self.context.options(),
        )


def _account(context: Context, name: str, namespace: str, *pods: str) -> serviceaccount.Account:
    config = context.config
    account = serviceaccount.Account(
        name,
        account_id=config.account_id(name),
        display_name=f"{name} of {config.name}",
        opts=context.options(),
    )
    for service_account in pods:
        serviceaccount.IAMMember(
            f"{name}-{service_account}",
            service_account_id=account.name,
            role="roles/iam.workloadIdentityUser",
            member=f"serviceAccount:{config.gcp.project}.svc.id.goog[{namespace}/{service_account}]",
            opts=context.options(),
        )
    # It signs URLs in its own name, and in nobody else's.
    serviceaccount.IAMMember(
        f"{name}-signs",
        service_account_id=account.name,
        role="roles/iam.serviceAccountTokenCreator",
        member=account.email.apply("serviceAccount:{}".format),
        opts=context.options(),
    )
    return account
