"""Secrets of projects' tasks in Secret Manager: made empty here, filled by people, read by external-secrets alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi_gcp import secretmanager

from flyteform_platform.clouds.secrets import EXTERNAL_SECRETS, task_secrets

if TYPE_CHECKING:
    from flyteform_gcp.config import GcpConfig
    from flyteform_gcp.context import Context
    from flyteform_gcp.keys import Keys

PATH: Final = "{name}-{project}-{domain}-{secret}"
_WEEK: Final = "604800s"


def make_secrets(context: Context, keys: Keys) -> None:
    """Make them in the platform's region, each with the one reader that it has."""
    config = context.config
    replica = secretmanager.SecretReplicationUserManagedReplicaArgs(
        location=config.gcp.region,
        customer_managed_encryption=secretmanager.SecretReplicationUserManagedReplicaCustomerManagedEncryptionArgs(
            kms_key_name=keys.secrets.id
        ),
    )
    for each in task_secrets(config, PATH):
        secret = secretmanager.Secret(
            each.key,
            secret_id=each.path,
            replication=secretmanager.SecretReplicationArgs(
                user_managed=secretmanager.SecretReplicationUserManagedArgs(replicas=[replica])
            ),
            # A version that is destroyed by mistake can be had back for as long.
            version_destroy_ttl=_WEEK,
            deletion_protection=config.is_production,
            opts=context.options(protect=config.is_production, after=keys.grants),
        )
        secretmanager.SecretIamMember(
            each.key,
            secret_id=secret.secret_id,
            role="roles/secretmanager.secretAccessor",
            member=config.workload(*EXTERNAL_SECRETS),
            opts=context.options(),
        )


def secrets_of(config: GcpConfig) -> dict[str, Any]:
    """Return where external-secrets reads: Secret Manager, as who its own pods are."""
    return {"gcpsm": {"projectID": config.gcp.project}}
