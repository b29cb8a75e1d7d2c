"""Rules that hold in every cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flyteform_platform.policies.resource import Problems, Resource

_KEYS: Final = (
    "aws:iam/accessKey:AccessKey",
    "aws:iam/user:User",
    "gcp:serviceaccount/key:Key",
    "gcp:storage/hmacKey:HmacKey",
)
_DATA: Final = (
    "aws:s3/bucket:Bucket",
    "aws:rds/instance:Instance",
    "aws:rds/cluster:Cluster",
    "aws:kms/key:Key",
    "aws:secretsmanager/secret:Secret",
    "aws:amp/workspace:Workspace",
    "aws:backup/vault:Vault",
    "gcp:storage/bucket:Bucket",
    "gcp:sql/databaseInstance:DatabaseInstance",
    "gcp:kms/cryptoKey:CryptoKey",
    "gcp:secretmanager/secret:Secret",
    "azure-native:storage:StorageAccount",
    "azure-native:dbforpostgresql:Server",
    "azure-native:storage:BlobContainer",
    "azure-native:keyvault:Vault",
    "azure-native:keyvault:Key",
)


def _no_keys(resource: Resource) -> Problems:
    yield f"{resource.name} is a key that never expires: give the workload an identity"


def _protected(resource: Resource) -> Problems:
    # Logs of accesses are written anew every day.
    if resource.is_production and not resource.protect and "logs" not in resource.name:
        yield f"{resource.name} holds data of production and is not protected"


RULES: Final = {
    "no-static-keys": ("Nobody can steal a key that there is none of.", _KEYS, _no_keys),
    "data-is-protected": ("A slip of the hand deletes no data of production.", _DATA, _protected),
}
