"""What Azure would answer: ids, names and what else resources are referred to by."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
_ROOT = "/subscriptions/example/resourceGroups/example/providers"
_ISSUER = "https://westeurope.oic.prod-aks.azure.com/example/"
_KUBECONFIG = base64.b64encode(b'{"kind": "Config", "apiVersion": "v1"}').decode()


def _named(kind: str, key: str) -> Callable[[str, Json], Json]:
    return lambda name, inputs: {"id": f"{_ROOT}/{kind}/{inputs.get(key, name)}", "name": inputs.get(key, name)}


def _identity(name: str, inputs: Json) -> Json:
    known = inputs["resourceName"]
    return {
        "id": f"{_ROOT}/Microsoft.ManagedIdentity/userAssignedIdentities/{known}",
        "name": known,
        "clientId": f"client-of-{name}",
        "principalId": f"principal-of-{name}",
    }


def _assigned(inputs: Json) -> Json:
    """Azure takes a list of identities, and answers a mapping."""
    known = inputs.get("identity", {})
    return {"identity": {**known, "userAssignedIdentities": {one: {} for one in known["userAssignedIdentities"]}}}


def _cluster(_: str, inputs: Json) -> Json:
    return {
        **_assigned(inputs),
        "id": f"{_ROOT}/Microsoft.ContainerService/managedClusters/{inputs['resourceName']}",
        "name": inputs["resourceName"],
        "oidcIssuerProfile": {"enabled": True, "issuerURL": _ISSUER},
        "identityProfile": {"kubeletidentity": {"objectId": "principal-of-kubelet"}},
    }


OUTPUTS: dict[str, Callable[[str, Json], Json]] = {
    "azure-native:resources:ResourceGroup": _named("group", "resourceGroupName"),
    "azure-native:network:VirtualNetwork": _named("Microsoft.Network/virtualNetworks", "virtualNetworkName"),
    "azure-native:network:PublicIPAddress": lambda name, inputs: {
        **_named("Microsoft.Network/publicIPAddresses", "publicIpAddressName")(name, inputs),
        "ipAddress": "192.0.2.10",
    },
    "azure-native:network:PrivateEndpoint": _named("Microsoft.Network/privateEndpoints", "privateEndpointName"),
    "azure-native:privatedns:PrivateZone": _named("Microsoft.Network/privateDnsZones", "privateZoneName"),
    "azure-native:managedidentity:UserAssignedIdentity": _identity,
    "azure-native:keyvault:Vault": lambda name, inputs: {
        **_named("Microsoft.KeyVault/vaults", "vaultName")(name, inputs),
        "properties": {**inputs["properties"], "vaultUri": f"https://{inputs['vaultName']}.vault.azure.net/"},
    },
    "azure-native:keyvault:Key": lambda name, inputs: {
        "name": inputs["keyName"],
        "keyUriWithVersion": f"https://{inputs['vaultName']}.vault.azure.net/keys/{name}/1",
    },
    "azure-native:storage:StorageAccount": lambda name, inputs: {
        **_named("Microsoft.Storage/storageAccounts", "accountName")(name, inputs),
        **_assigned(inputs),
    },
    "azure-native:dashboard:Grafana": lambda *_: {
        "identity": {"type": "SystemAssigned", "principalId": "principal-of-dashboards", "tenantId": "example"}
    },
    "azure-native:storage:BlobContainer": _named("Microsoft.Storage/containers", "containerName"),
    "azure-native:containerservice:ManagedCluster": _cluster,
    "azure-native:dbforpostgresql:Server": lambda name, inputs: {
        **_named("Microsoft.DBforPostgreSQL/flexibleServers", "serverName")(name, inputs),
        **_assigned(inputs),
        "fullyQualifiedDomainName": f"{inputs['serverName']}.postgres.database.azure.com",
    },
}
INVOKES: dict[str, Callable[[Json], Json]] = {
    "azure-native:authorization:getClientToken": lambda _: {"token": "the-secret-of-azure"},
    "azure-native:containerservice:listManagedClusterUserCredentials": lambda _: {
        "kubeconfigs": [{"name": "clusterUser", "value": _KUBECONFIG}]
    },
}
UNKNOWN_OUTPUTS = {
    "azure-native:storage:StorageAccount": ("identity",),
    "azure-native:containerservice:ManagedCluster": ("identity",),
}
