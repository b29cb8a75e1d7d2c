"""Secrets of projects' tasks in the vault: people put them there, and external-secrets alone reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flyteform_platform.clouds.secrets import EXTERNAL_SECRETS

if TYPE_CHECKING:
    from flyteform_azure.config import AzureConfig

PATH: Final = "{name}-{project}-{domain}-{secret}"


def secrets_of(config: AzureConfig) -> dict[str, Any]:
    """Return where external-secrets reads: the vault, as the identity that its service account names."""
    namespace, account = EXTERNAL_SECRETS
    return {
        "azurekv": {
            "authType": "WorkloadIdentity",
            "tenantId": config.azure.tenant,
            "vaultUrl": f"https://{config.worldwide('kv')}.vault.azure.net",
            "serviceAccountRef": {"name": account, "namespace": namespace},
        }
    }
