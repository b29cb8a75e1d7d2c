"""The network: three tiers of subnets in every zone, ways out, private endpoints of AWS, and flow logs."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi_aws as aws
from pulumi_aws import cloudwatch, ec2, iam, vpc

import pulumi
from flyteform_aws import documents
from flyteform_platform.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform_aws.context import Context

_ENDPOINTS = ("ecr.api", "ecr.dkr", "sts", "logs", "secretsmanager", "eks-auth")


@dataclass(frozen=True, slots=True)
class Network:
    """The VPC and the ids of its subnets by tier, in the order of the zones."""

    vpc: ec2.Vpc
    public: tuple[ec2.Subnet, ...]
    private: tuple[ec2.Subnet, ...]
    data: tuple[ec2.Subnet, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """CIDRs by tier: a quarter of the network for each zone's nodes, the last quarter for what is public and data."""

    private: tuple[str, ...]
    public: tuple[str, ...]
    data: tuple[str, ...]


def plan(cidr: str, zones: int) -> Plan:
    """Divide a network; pods have addresses of the private tier, so it gets the most."""
    quarters = list(ipaddress.ip_network(cidr).subnets(prefixlen_diff=2))
    last = list(quarters[3].subnets(prefixlen_diff=2))
    small = list(last[3].subnets(prefixlen_diff=4))
    return Plan(*(tuple(map(str, part[:zones])) for part in (quarters, last, small)))


def require_zones(context: Context) -> None:
    """Raise `PlatformError` where the account has not the zones that the configuration means."""
    region = context.config.aws.region
    found = aws.get_availability_zones(state="available", opts=pulumi.InvokeOptions(provider=context.provider))
    if missing := sorted(set(context.config.zones) - set(found.names)):
        letters = ", ".join(name.removeprefix(region) for name in found.names)
        raise PlatformError(
            f"the account has no zone {missing[0]}: name {context.config.network.zones} of {letters} as aws.zones, "
            "or ask for fewer by network.zones"
        )


def make_network(context: Context) -> Network:
    """Make the VPC with everything in it."""
    config = context.config
    made = ec2.Vpc(
        "vpc",
        cidr_block=config.network.cidr,
        enable_dns_hostnames=True,
        enable_dns_support=True,
        tags=context.named(),
        opts=context.options(),
    )
    # Nobody may use it: without rules it lets nothing in and nothing out.
    ec2.DefaultSecurityGroup(
        "default", vpc_id=made.id, ingress=[], egress=[], tags=context.named("default"), opts=context.options()
    )
    cidrs = plan(config.network.cidr, config.network.zones)
    cluster = {f"kubernetes.io/cluster/{config.name}": "shared"}
    network = Network(
        made,
        _subnets(context, made, "public", cidrs.public, {"kubernetes.io/role/elb": "1", **cluster}),
        _subnets(context, made, "private", cidrs.private, {"kubernetes.io/role/internal-elb": "1", **cluster}),
        _subnets(context, made, "data", cidrs.data, {}),
    )
    tables = _ways_out(context, network)
    _endpoints(context, network, tables)
    if config.network.flow_logs:
        _flow_logs(context, made)
    return network


def _subnets(
    context: Context, made: ec2.Vpc, tier: str, cidrs: Sequence[str], tags: Mapping[str, str]
) -> tuple[ec2.Subnet, ...]:
    return tuple(
        ec2.Subnet(
            f"{tier}-{zone[-1]}",
            vpc_id=made.id,
            availability_zone=zone,
            cidr_block=cidr,
            map_public_ip_on_launch=False,
            tags=context.named(tier, zone[-1], **tags),
            opts=context.options(),
        )
        for zone, cidr in zip(context.config.zones, cidrs, strict=True)
    )


def _ways_out(context: Context, network: Network) -> list[ec2.RouteTable]:
    """Route the public tier to the internet, the private one through NAT: one gateway per zone where it matters."""
    gateway = ec2.InternetGateway(
        "internet", vpc_id=network.vpc.id, tags=context.named("internet"), opts=context.options()
    )
    out = ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", gateway_id=gateway.id)
    _table(context, network, "public", [out], network.public)
    count = len(network.public) if context.config.is_production else 1
    zones = context.config.zones[:count]
    gateways = [_nat(context, subnet, zone[-1]) for subnet, zone in zip(network.public, zones, strict=False)]
    tables = []
    for index, (subnet, zone) in enumerate(zip(network.private, context.config.zones, strict=True)):
        nat = gateways[min(index, count - 1)]
        route = ec2.RouteTableRouteArgs(cidr_block="0.0.0.0/0", nat_gateway_id=nat.id)
        tables.append(_table(context, network, f"private-{zone[-1]}", [route], [subnet]))
    # Databases reach nobody.
    _table(context, network, "data", [], network.data)
    return tables


def _nat(context: Context, subnet: ec2.Subnet, zone: str) -> ec2.NatGateway:
    address = ec2.Eip(f"nat-{zone}", domain="vpc", tags=context.named("nat", zone), opts=context.options())
    return ec2.NatGateway(
        f"nat-{zone}",
        allocation_id=address.id,
        subnet_id=subnet.id,
        tags=context.named("nat", zone),
        opts=context.options(),
    )


def _table(
    context: Context,
    network: Network,
    name: str,
    routes: Sequence[ec2.RouteTableRouteArgs],
    subnets: Sequence[ec2.Subnet],
) -> ec2.RouteTable:
    table = ec2.RouteTable(
        name, vpc_id=network.vpc.id, routes=list(routes), tags=context.named(name), opts=context.options()
    )
    for subnet in subnets:
        ec2.RouteTableAssociation(
            f"{name}-{subnet._name}",  # noqa: SLF001 - a resource's own name has no public face
            route_table_id=table.id,
            subnet_id=subnet.id,
            opts=context.options(),
        )
    return table


def _endpoints(context: Context, network: Network, tables: Sequence[ec2.RouteTable]) -> None:
    """Reach AWS without leaving the network: buckets always (it is free), other services where it is asked for."""
    region = context.config.aws.region
    ec2.VpcEndpoint(
        "s3",
        vpc_id=network.vpc.id,
        service_name=f"com.amazonaws.{region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id for table in tables],
        tags=context.named("s3"),
        opts=context.options(),
    )
    if not context.config.aws.private_endpoints:
        return
    group = ec2.SecurityGroup(
        "endpoints",
        vpc_id=network.vpc.id,
        description="Private endpoints of AWS, for what is in this network",
        tags=context.named("endpoints"),
        opts=context.options(),
    )
    vpc.SecurityGroupIngressRule(
        "endpoints-https",
        security_group_id=group.id,
        cidr_ipv4=context.config.network.cidr,
        ip_protocol="tcp",
        from_port=443,
        to_port=443,
        opts=context.options(),
    )
    for service in _ENDPOINTS:
        ec2.VpcEndpoint(
            service.replace(".", "-"),
            vpc_id=network.vpc.id,
            service_name=f"com.amazonaws.{region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=[subnet.id for subnet in network.private],
            security_group_ids=[group.id],
            tags=context.named(service),
            opts=context.options(),
        )


def _flow_logs(context: Context, made: ec2.Vpc) -> None:
    group = cloudwatch.LogGroup(
        "flow-logs",
        name=f"/flyteform/{context.config.name}/flow-logs",
        retention_in_days=context.config.aws.log_days,
        opts=context.options(),
    )
    role = iam.Role(
        "flow-logs",
        name=context.name("flow-logs"),
        assume_role_policy=documents.text(documents.trust("vpc-flow-logs.amazonaws.com")),
        opts=context.options(),
    )
    iam.RolePolicy(
        "flow-logs",
        role=role.id,
        policy=pulumi.Output.json_dumps(documents.flow_logs(group.arn)),
        opts=context.options(),
    )
    ec2.FlowLog(
        "flow-logs",
        vpc_id=made.id,
        traffic_type="ALL",
        log_destination=group.arn,
        iam_role_arn=role.arn,
        tags=context.named("flow-logs"),
        opts=context.options(),
    )
