"""What production on Azure must have: each row is a resource and a setting, and this is where it is asserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.recording.rules import at_least, contains, is_set
from support.recording.table import Row, holds

if TYPE_CHECKING:
    from support.recording.stacks import Recordings

_CLUSTER = {
    "oidcIssuerProfile.enabled": True,
    "securityProfile.workloadIdentity.enabled": True,
    "securityProfile.defender.securityMonitoring.enabled": True,
    "securityProfile.imageCleaner.enabled": True,
    "disableLocalAccounts": True,
    "aadProfile.managed": True,
    "aadProfile.enableAzureRBAC": True,
    "apiServerAccessProfile.enablePrivateCluster": True,
    "apiServerAccessProfile.disableRunCommand": True,
    "apiServerAccessProfile.enableVnetIntegration": True,
    "networkProfile.networkPluginMode": "overlay",
    "networkProfile.networkDataplane": "cilium",
    "networkProfile.networkPolicy": "cilium",
    "networkProfile.outboundType": "userAssignedNATGateway",
    "autoUpgradeProfile.upgradeChannel": "patch",
    "identity.type": "UserAssigned",
    "addonProfiles.azureKeyvaultSecretsProvider.enabled": True,
    "addonProfiles.azurepolicy.enabled": True,
    "azureMonitorProfile.metrics.enabled": True,
    "sku.tier": "Standard",
    "agentPoolProfiles[0].enableEncryptionAtHost": True,
    "agentPoolProfiles[0].availabilityZones": ["1", "2", "3"],
    "protect": True,
}
_ACCOUNT = {
    "allowBlobPublicAccess": False,
    "allowSharedKeyAccess": False,
    "minimumTlsVersion": "TLS1_2",
    "publicNetworkAccess": "Disabled",
    "enableHttpsTrafficOnly": True,
    "encryption.requireInfrastructureEncryption": True,
    "encryption.keySource": "Microsoft.Keyvault",
    "sasPolicy.sasExpirationPeriod": is_set,
    "sku.name": "Standard_ZRS",
    "isHnsEnabled": False,
    "protect": True,
}
_DATABASE = {
    "highAvailability.mode": "ZoneRedundant",
    "network.delegatedSubnetResourceId": "databases-id",
    "network.privateDnsZoneArmResourceId": is_set,
    "network.publicNetworkAccess": "Disabled",
    "authConfig.activeDirectoryAuth": "Enabled",
    "authConfig.passwordAuth": "Disabled",
    "backup.geoRedundantBackup": "Enabled",
    "backup.backupRetentionDays": at_least(14),
    "sku.tier": "MemoryOptimized",
    "dataEncryption.geoBackupKeyURI": contains("/keys/backups/"),
    "dataEncryption.geoBackupUserAssignedIdentityId": contains("backup-encryption"),
    "dataEncryption.type": "AzureKeyVault",
    "protect": True,
}
_SPOT = {
    "scaleSetPriority": "Spot",
    "scaleSetEvictionPolicy": "Delete",
    "spotMaxPrice": -1,
    "nodeTaints": ["kubernetes.azure.com/scalesetpriority=spot:NoSchedule"],
}
_VAULT = {
    "properties.enableRbacAuthorization": True,
    "properties.enablePurgeProtection": True,
    "properties.publicNetworkAccess": "Disabled",
    "protect": True,
}
_REGISTRY = {
    "sku.name": "Premium",
    "adminUserEnabled": False,
    "anonymousPullEnabled": False,
    "zoneRedundancy": "Enabled",
    "publicNetworkAccess": "Disabled",
}
_PRIVATE = ("vault", "blob", "images")
_SECRETS_USER = "4633458b-17de-408a-b874-0445c86b69e6"
_DELEGATOR = "db58b8e5-c6ad-4a2a-8342-4190687cbf4a"
_SCALING = {
    "autoScalerProfile.expander": "least-waste",
    "autoScalerProfile.balanceSimilarNodeGroups": "true",
    "nodeProvisioningProfile.mode": "Manual",
    "securityProfile.azureKeyVaultKms.enabled": True,
    "securityProfile.azureKeyVaultKms.keyId": contains("/keys/cluster/"),
    "securityProfile.azureKeyVaultKms.keyVaultNetworkAccess": "Private",
}
ROWS = [
    Row("resources:ResourceGroup", "protect"),
    Row("network:VirtualNetwork", "addressSpace.addressPrefixes", ["10.66.0.0/16"]),
    Row("network:Subnet", "defaultOutboundAccess", expected=False),
    Row("network:Subnet", "networkSecurityGroup.id", is_set),
    Row("network:Subnet", "natGateway.id", is_set, "nodes"),
    Row("network:Subnet", "delegations[0].serviceName", "Microsoft.DBforPostgreSQL/flexibleServers", "databases"),
    Row("network:NetworkSecurityGroup", "securityRules[0].sourceAddressPrefixes", ["198.51.100.0/24"]),
    Row("network:NatGateway", "sku.name", "Standard"),
    Row("network:PublicIPAddress", "zones", ["1", "2", "3"]),
    *(Row("network:PrivateEndpoint", "subnet.id", is_set, name) for name in _PRIVATE),
    *(
        Row("network:PrivateDnsZoneGroup", "privateDnsZoneConfigs[0].privateDnsZoneId", is_set, name)
        for name in _PRIVATE
    ),
    Row("privatedns:VirtualNetworkLink", "registrationEnabled", expected=False),
    Row("dns:RecordSet", "recordType", "A"),
    *(Row("containerservice:ManagedCluster", key, value) for key, value in _CLUSTER.items()),
    *(Row("containerservice:AgentPool", key, value, "spot") for key, value in _SPOT.items()),
    Row("containerservice:AgentPool", "gpuProfile.driver", "Install", "gpu"),
    Row("containerservice:AgentPool", "enableEncryptionAtHost"),
    Row("containerservice:AgentPool", "availabilityZones", ["1", "2", "3"]),
    Row("containerservice:AgentPool", "ignoreChanges", ["count"]),
    Row("containerservice:MaintenanceConfiguration", "configName", "aksManagedAutoUpgradeSchedule", "upgrades"),
    Row("containerservice:MaintenanceConfiguration", "configName", "aksManagedNodeOSUpgradeSchedule", "node-images"),
    Row("containerservice:MaintenanceConfiguration", "maintenanceWindow.durationHours", 4),
    *(Row("containerservice:ManagedCluster", key, value) for key, value in _SCALING.items()),
    Row("network:VirtualNetwork", "addressSpace.addressPrefixes", ["10.66.0.0/16"]),
    Row("network:Subnet", "defaultOutboundAccess", expected=False),
    Row("network:Subnet", "networkSecurityGroup.id", is_set),
    Row("network:Subnet", "natGateway.id", is_set, "nodes"),
    Row("privatedns:PrivateZone", "privateZoneName", contains("private")),
    Row("managedidentity:UserAssignedIdentity", "resourceName", is_set, "controlplane"),
    Row("authorization:RoleAssignment", "roleDefinitionId", contains(_SECRETS_USER), "external-secrets"),
    Row("authorization:RoleAssignment", "roleDefinitionId", contains(_DELEGATOR), "controlplane-signs"),
    Row("keyvault:Key", "properties.rotationPolicy.lifetimeActions[0].action.type", is_set),
    *(Row("keyvault:Key", "protect", name=name) for name in ("data", "cluster", "backups")),
    Row("keyvault:Vault", "location", "northeurope", "backup-vault"),
    Row("managedidentity:FederatedIdentityCredential", "subject", contains("system:serviceaccount:")),
    Row("authorization:ManagementLockByScope", "level", "CanNotDelete"),
    *(Row("storage:StorageAccount", key, value) for key, value in _ACCOUNT.items()),
    Row("storage:BlobServiceProperties", "isVersioningEnabled"),
    Row("storage:BlobServiceProperties", "deleteRetentionPolicy.days", 30),
    Row("storage:BlobServiceProperties", "changeFeed.enabled"),
    *(Row("storage:BlobContainer", "publicAccess", "None", name) for name in ("metadata", "raw")),
    Row("storage:ManagementPolicy", "policy.rules[0].definition.actions.version.delete", is_set),
    *(Row("dbforpostgresql:Server", key, value) for key, value in _DATABASE.items()),
    *(Row("dbforpostgresql:Database", "databaseName", name, name) for name in ("admin", "catalog")),
    *(
        Row("dbforpostgresql:Configuration", "value", "on", f"{name}-require_secure_transport")
        for name in ("admin", "catalog")
    ),
    *(
        Row("dbforpostgresql:AdministratorsMicrosoftEntra", "principalName", f"flyteform-prod-{name}-database", name)
        for name in ("admin", "catalog")
    ),
    *(Row("keyvault:Vault", key, value) for key, value in _VAULT.items()),
    *(Row("containerregistry:Registry", key, value) for key, value in _REGISTRY.items()),
    Row("monitor:AzureMonitorWorkspace", "location", "westeurope"),
    Row("monitor:DiagnosticSetting", "workspaceId", is_set),
    Row("monitor:DataCollectionEndpoint", "kind", "Linux"),
    Row("monitor:DataCollectionRuleAssociation", "resourceUri", contains("managedClusters/flyteform-prod")),
    Row("dashboard:Grafana", "properties.grafanaIntegrations.azureMonitorWorkspaceIntegrations", is_set),
    Row("authorization:RoleAssignment", "scope", "metrics-id", "dashboards"),
    Row("monitor:DataCollectionRule", "destinations.monitoringAccounts[0].accountResourceId", is_set),
    Row("dashboard:Grafana", "properties.apiKey", "Disabled"),
    Row("alertsmanagement:PrometheusRuleGroup", "rules[0].alert", is_set),
    Row("operationalinsights:Workspace", "retentionInDays", 365),
    Row("consumption:Budget", "amount", 20000),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_settings(recordings: Recordings, row: Row) -> None:
    """Production has every setting that it needs."""
    holds(recordings.shipped("azure", "prod-base"), row)


def test_no_static_keys(recordings: Recordings) -> None:
    """Nobody has a password, and every federated credential is one service account's."""
    graph = recordings.shipped("azure", "prod-base")
    assert all(each.at("administratorLoginPassword") is None for each in graph.of("dbforpostgresql:Server"))
    subjects = [
        (each.at("resourceName"), each.at("subject"))
        for each in graph.of("managedidentity:FederatedIdentityCredential")
    ]
    assert len(set(subjects)) == len(subjects)
    assert ("flyteform-prod-fraud-production", "system:serviceaccount:fraud-production:default") in subjects


def test_prefixes_only(recordings: Recordings) -> None:
    """Roles for blobs are on containers, and hold for paths of their own."""
    graph = recordings.shipped("azure", "prod-base")
    contributors = [
        each
        for each in graph.of("authorization:RoleAssignment")
        if each.at("roleDefinitionId").endswith("ba92f5b4-2d11-453d-a403-e96b0029c9fe")
    ]
    assert contributors
    for each in contributors:
        assert each.at("scope").rpartition("/")[2] in ("metadata", "raw"), each.short
        assert "StringLike" in each.at("condition"), each.short
