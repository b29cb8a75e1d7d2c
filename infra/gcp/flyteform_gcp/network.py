"""The network: one subnet for nodes, pods and services, one way out, and a private way to databases."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_gcp import compute, servicenetworking

import pulumi
from flyteform_platform.errors import PlatformError

if TYPE_CHECKING:
    from flyteform_gcp.context import Context

# Where Google's load balancers and their health checks call from.
BALANCERS = ("35.191.0.0/16", "130.211.0.0/22")
PODS = "pods"
SERVICES = "services"


@dataclass(frozen=True, slots=True)
class Network:
    """The network, its subnet, and the connection that databases need."""

    network: compute.Network
    subnet: compute.Subnetwork
    databases: servicenetworking.Connection


@dataclass(frozen=True, slots=True)
class Plan:
    """CIDRs: half of the network for pods, an eighth each for nodes, services, databases and the API server."""

    pods: str
    nodes: str
    services: str
    databases: str


def plan(cidr: str) -> Plan:
    """Divide a network."""
    whole = ipaddress.ip_network(cidr)
    eighths = [str(part) for part in whole.subnets(prefixlen_diff=3)]
    return Plan(str(next(whole.subnets(prefixlen_diff=1))), eighths[4], eighths[5], eighths[6])


def require_zones(context: Context) -> None:
    """Raise `PlatformError` where the region has not the zones that the configuration means."""
    settings = context.config.gcp
    found = compute.get_zones(
        project=settings.project, region=settings.region, opts=pulumi.InvokeOptions(provider=context.provider)
    )
    if missing := sorted(set(context.config.zones) - set(found.names)):
        letters = ", ".join(name.rpartition("-")[2] for name in found.names)
        raise PlatformError(
            f"there is no zone {missing[0]}: name {context.config.network.zones} of {letters} as gcp.zones, "
            "or ask for fewer by network.zones"
        )


def make_network(context: Context) -> Network:
    """Make the network with everything in it. Nodes have no public addresses."""
    config = context.config
    cidrs = plan(config.network.cidr)
    network = compute.Network(
        "network",
        name=config.name,
        auto_create_subnetworks=False,
        routing_mode="REGIONAL",
        opts=context.options(),
    )
    logs = compute.SubnetworkLogConfigArgs(
        aggregation_interval="INTERVAL_10_MIN", flow_sampling=0.5, metadata="INCLUDE_ALL_METADATA"
    )
    subnet = compute.Subnetwork(
        "nodes",
        name=context.name("nodes"),
        network=network.id,
        region=config.gcp.region,
        ip_cidr_range=cidrs.nodes,
        private_ip_google_access=True,
        secondary_ip_ranges=[
            compute.SubnetworkSecondaryIpRangeArgs(range_name=PODS, ip_cidr_range=cidrs.pods),
            compute.SubnetworkSecondaryIpRangeArgs(range_name=SERVICES, ip_cidr_range=cidrs.services),
        ],
        log_config=logs if config.network.flow_logs else None,
        opts=context.options(),
    )
    _way_out(context, network)
    _health_checks(context, network)
    return Network(network, subnet, _databases(context, network, cidrs.databases))


def _way_out(context: Context, network: compute.Network) -> None:
    router = compute.Router(
        "out", name=context.name("out"), network=network.id, region=context.config.gcp.region, opts=context.options()
    )
    compute.RouterNat(
        "out",
        name=context.name("out"),
        router=router.name,
        region=context.config.gcp.region,
        nat_ip_allocate_option="AUTO_ONLY",
        source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
        enable_dynamic_port_allocation=True,
        # Ports of ended connections come back sooner than by default: many small tasks open many.
        tcp_time_wait_timeout_sec=30,
        log_config=compute.RouterNatLogConfigArgs(enable=True, filter="ERRORS_ONLY"),
        opts=context.options(),
    )


def _health_checks(context: Context, network: compute.Network) -> None:
    """Let Google's load balancers reach pods, and nobody else."""
    compute.Firewall(
        "health-checks",
        name=context.name("health-checks"),
        network=network.id,
        direction="INGRESS",
        source_ranges=list(BALANCERS),
        allows=[compute.FirewallAllowArgs(protocol="tcp")],
        target_tags=[context.config.name],
        opts=context.options(),
    )


def _databases(context: Context, network: compute.Network, cidr: str) -> servicenetworking.Connection:
    whole = ipaddress.ip_network(cidr)
    addresses = compute.GlobalAddress(
        "databases",
        name=context.name("databases"),
        purpose="VPC_PEERING",
        address_type="INTERNAL",
        address=str(whole.network_address),
        prefix_length=whole.prefixlen,
        network=network.id,
        opts=context.options(),
    )
    return servicenetworking.Connection(
        "databases",
        network=network.id,
        service="servicenetworking.googleapis.com",
        reserved_peering_ranges=[addresses.name],
        # Databases hold on to the connection for a while after they are gone.
        deletion_policy="ABANDON",
        opts=context.options(),
    )
