"""Rules for Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteform_platform.policies.resource import expect

if TYPE_CHECKING:
    from flyteform_platform.policies.resource import Problems, Resource


def _storage(resource: Resource) -> Problems:
    yield from expect(
        resource,
        allowBlobPublicAccess=False,
        allowSharedKeyAccess=False,
        minimumTlsVersion="TLS1_2",
        enableHttpsTrafficOnly=True,
    )
    if resource.is_production:
        yield from expect(resource, publicNetworkAccess="Disabled")


def _cluster(resource: Resource) -> Problems:
    yield from expect(resource, disableLocalAccounts=True, oidcIssuerProfile__enabled=True)
    access = resource.at("apiServerAccessProfile") or {}
    if not access.get("enablePrivateCluster") and not access.get("authorizedIPRanges"):
        yield "everybody reaches the API server: make it private or name authorizedIPRanges"


def _pool(resource: Resource) -> Problems:
    yield from expect(resource, enableNodePublicIP=False)
    if resource.is_production:
        yield from expect(resource, enableEncryptionAtHost=True)


def _database(resource: Resource) -> Problems:
    yield from expect(resource, network__publicNetworkAccess="Disabled", authConfig__passwordAuth="Disabled")
    if resource.is_production:
        yield from expect(resource, highAvailability__mode="ZoneRedundant")


def _registry(resource: Resource) -> Problems:
    yield from expect(resource, adminUserEnabled=False)


def _vault(resource: Resource) -> Problems:
    yield from expect(resource, properties__enableRbacAuthorization=True)
    if resource.is_production:
        yield from expect(resource, properties__enablePurgeProtection=True)


RULES: Final = {
    "azure-storage-closed": (
        "No account is public, and none has keys.",
        ("azure-native:storage:StorageAccount",),
        _storage,
    ),
    "azure-clusters": (
        "Callers have identities; not everybody calls.",
        ("azure-native:containerservice:ManagedCluster",),
        _cluster,
    ),
    "azure-nodes": (
        "Nodes have no public address, and their disks are encrypted to the last cache.",
        ("azure-native:containerservice:AgentPool",),
        _pool,
    ),
    "azure-databases": (
        "Databases are inside and have no passwords.",
        ("azure-native:dbforpostgresql:Server",),
        _database,
    ),
    "azure-registries": ("Registries have no shared user.", ("azure-native:containerregistry:Registry",), _registry),
    "azure-vaults": ("Vaults ask who somebody is, and forget nothing.", ("azure-native:keyvault:Vault",), _vault),
}
