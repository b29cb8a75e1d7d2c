"""The network: subnets for nodes, the API server, databases and private endpoints, and one way out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulumi_azure_native import network, privatedns

if TYPE_CHECKING:
    import pulumi
    from flyteform_azure.context import Context

_DELEGATIONS = {
    "api": "Microsoft.ContainerService/managedClusters",
    "databases": "Microsoft.DBforPostgreSQL/flexibleServers",
}


@dataclass(frozen=True, slots=True)
class Network:
    """The network, its subnets, and what is resolved in it alone, by what it is for."""

    network: network.VirtualNetwork
    nodes: network.Subnet
    api: network.Subnet
    databases: network.Subnet
    endpoints: network.Subnet
    zones: dict[str, privatedns.PrivateZone] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """CIDRs: half of the network for nodes (pods have addresses of an overlay), small parts for the rest."""

    nodes: str
    endpoints: str
    databases: str
    api: str


def plan(cidr: str) -> Plan:
    """Divide a network."""
    halves = list(ipaddress.ip_network(cidr).subnets(prefixlen_diff=1))
    small = list(halves[1].subnets(prefixlen_diff=7))
    return Plan(str(halves[0]), *map(str, small[:3]))


def make_network(context: Context) -> Network:
    """Make the network with everything in it."""
    config = context.config
    made = network.VirtualNetwork(
        "network",
        virtual_network_name=config.name,
        resource_group_name=context.group_name,
        location=config.azure.location,
        address_space=network.AddressSpaceArgs(address_prefixes=[config.network.cidr]),
        tags=context.tags,
        # Subnets are resources of their own.
        opts=context.options(ignore=["subnets"]),
    )
    gateway, group = _way_out(context), _rules(context)
    cidrs = plan(config.network.cidr)
    # Azure changes one subnet of a network at a time.
    nodes = _subnet(context, made, "nodes", cidrs.nodes, group, gateway)
    api = _subnet(context, made, "api", cidrs.api, group, after=nodes)
    databases = _subnet(context, made, "databases", cidrs.databases, group, after=api)
    endpoints = _subnet(context, made, "endpoints", cidrs.endpoints, group, after=databases)
    return Network(made, nodes, api, databases, endpoints)


def private_zone(context: Context, name: str, zone: str, where: Network) -> privatedns.PrivateZone:
    """Make a zone that is resolved in the network alone."""
    made = privatedns.PrivateZone(
        name,
        private_zone_name=zone,
        resource_group_name=context.group_name,
        location="Global",
        tags=context.tags,
        opts=context.options(),
    )
    privatedns.VirtualNetworkLink(
        name,
        virtual_network_link_name=context.name(name),
        private_zone_name=made.name,
        resource_group_name=context.group_name,
        location="Global",
        registration_enabled=False,
        virtual_network=privatedns.SubResourceArgs(id=where.network.id),
        tags=context.tags,
        opts=context.options(),
    )
    return made


def private_endpoint(
    context: Context, name: str, target: pulumi.Input[str], part: str, zone: str, where: Network
) -> None:
    """Give a service an address in the network, and its name to that address.

    A network resolves a zone once: what comes second in the same zone has its name there, too.
    """
    known = where.zones.get(zone)
    resolved = known or private_zone(context, name, zone, where)
    where.zones[zone] = resolved
    endpoint = network.PrivateEndpoint(
        name,
        private_endpoint_name=context.name(name),
        resource_group_name=context.group_name,
        location=context.config.azure.location,
        subnet=network.SubnetArgs(id=where.endpoints.id),
        private_link_service_connections=[
            network.PrivateLinkServiceConnectionArgs(name=name, private_link_service_id=target, group_ids=[part])
        ],
        tags=context.tags,
        opts=context.options(),
    )
    network.PrivateDnsZoneGroup(
        name,
        private_dns_zone_group_name="default",
        private_endpoint_name=endpoint.name,
        resource_group_name=context.group_name,
        private_dns_zone_configs=[network.PrivateDnsZoneConfigArgs(name=part, private_dns_zone_id=resolved.id)],
        opts=context.options(),
    )


def public_address(context: Context, name: str) -> network.PublicIPAddress:
    """Make a fixed address in all zones."""
    return network.PublicIPAddress(
        name,
        public_ip_address_name=context.name(name),
        resource_group_name=context.group_name,
        location=context.config.azure.location,
        public_ip_allocation_method="Static",
        public_ip_address_version="IPv4",
        sku=network.PublicIPAddressSkuArgs(name="Standard"),
        zones=context.config.zones,
        tags=context.tags,
        opts=context.options(),
    )


def _way_out(context: Context) -> network.NatGateway:
    address = public_address(context, "out")
    return network.NatGateway(
        "out",
        nat_gateway_name=context.name("out"),
        resource_group_name=context.group_name,
        location=context.config.azure.location,
        sku=network.NatGatewaySkuArgs(name="Standard"),
        public_ip_addresses=[network.SubResourceArgs(id=address.id)],
        idle_timeout_in_minutes=10,
        tags=context.tags,
        opts=context.options(),
    )


def _rules(context: Context) -> network.NetworkSecurityGroup:
    """Let the configuration's networks reach the gateway, and Azure's own rules do the rest: nothing else comes in."""
    sources = list(context.config.network.sources)
    allowed = [
        network.SecurityRuleArgs(
            name="callers",
            direction="Inbound",
            access="Allow",
            priority=100,
            protocol="Tcp",
            source_address_prefixes=sources,
            source_port_range="*",
            destination_address_prefix="*",
            destination_port_ranges=["80", "443"],
        )
    ]
    return network.NetworkSecurityGroup(
        "network",
        network_security_group_name=context.name("network"),
        resource_group_name=context.group_name,
        location=context.config.azure.location,
        security_rules=allowed if sources else [],
        tags=context.tags,
        opts=context.options(),
    )


def _subnet(
    context: Context,
    where: network.VirtualNetwork,
    name: str,
    cidr: str,
    group: network.NetworkSecurityGroup,
    gateway: network.NatGateway | None = None,
    after: network.Subnet | None = None,
) -> network.Subnet:
    delegated = _DELEGATIONS.get(name)
    return network.Subnet(
        name,
        subnet_name=name,
        virtual_network_name=where.name,
        resource_group_name=context.group_name,
        address_prefix=cidr,
        network_security_group=network.NetworkSecurityGroupArgs(id=group.id),
        nat_gateway=network.SubResourceArgs(id=gateway.id) if gateway else None,
        default_outbound_access=False,
        private_endpoint_network_policies="Enabled",
        delegations=[network.DelegationArgs(name=name, service_name=delegated)] if delegated else None,
        opts=context.options(after=[after] if after else ()),
    )
