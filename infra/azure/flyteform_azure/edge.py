"""How callers arrive: a fixed address with a name, and the issuer of its certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_azure_native import dns, network
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta import v1 as meta

import pulumi
from flyteform_azure.network import public_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_kubernetes as kubernetes

    from flyteform_azure.config import AzureConfig
    from flyteform_azure.context import Context

ISSUER = "letsencrypt"
_AUTHORITY = "https://acme-v02.api.letsencrypt.org/directory"


def make_entrance(context: Context) -> network.PublicIPAddress:
    """Make the address, and its record where the zone is Azure's."""
    config = context.config
    address = public_address(context, "edge")
    if config.edge.dns_zone and config.azure.dns_group:
        dns.RecordSet(
            "edge",
            zone_name=config.edge.dns_zone,
            resource_group_name=config.azure.dns_group,
            record_type="A",
            relative_record_set_name=config.edge.domain.removesuffix(f".{config.edge.dns_zone}"),
            ttl=300.0,
            a_records=[dns.ARecordArgs(ipv4_address=address.ip_address.apply(str))],
            opts=context.options(),
        )
    return address


def make_issuer(
    config: AzureConfig, client: pulumi.Input[str], provider: kubernetes.Provider, after: Sequence[pulumi.Resource]
) -> None:
    """Make the issuer of certificates. It is proved in DNS that the domain is ours: nobody has to reach the gateway."""
    zone = {
        "subscriptionID": config.azure.subscription,
        "resourceGroupName": config.azure.dns_group,
        "hostedZoneName": config.edge.dns_zone,
        "managedIdentity": {"clientID": client},
    }
    spec = {
        "acme": {
            "server": _AUTHORITY,
            "email": config.azure.acme_email,
            "privateKeySecretRef": {"name": f"{ISSUER}-account"},
            "solvers": [{"dns01": {"azureDNS": zone}}],
        }
    }
    CustomResource(
        f"{ISSUER}-issuer",
        api_version="cert-manager.io/v1",
        kind="ClusterIssuer",
        metadata=meta.ObjectMetaArgs(name=ISSUER),
        spec=spec,
        opts=pulumi.ResourceOptions(provider=provider, depends_on=list(after)),
    )
