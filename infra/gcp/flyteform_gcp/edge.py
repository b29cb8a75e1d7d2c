"""How callers arrive: an address, a name, a certificate that renews itself, and who may call at all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi_gcp import certificatemanager, compute, dns
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta import v1 as meta

import pulumi
from flyteform_platform.controlplane.names import HTTP, NAME

if TYPE_CHECKING:
    import pulumi_kubernetes as kubernetes

    from flyteform_gcp.config import GcpConfig
    from flyteform_gcp.context import Context

GATEWAY_CLASS = "gke-l7-global-external-managed"
CERTIFICATES = "networking.gke.io/certmap"


@dataclass(frozen=True, slots=True)
class Entrance:
    """The name of the gateway's address, and the map of certificates that its load balancer has."""

    address: pulumi.Input[str]
    certificates: pulumi.Input[str]


def make_entrance(context: Context) -> Entrance:
    """Make the address with its name, the certificate, and the rules of who may call."""
    edge = context.config.edge
    address = compute.GlobalAddress("edge", name=context.name("edge"), opts=context.options())
    proof = certificatemanager.DnsAuthorization(
        "edge", name=context.name("edge"), domain=edge.domain, opts=context.options()
    )
    if edge.dns_zone:
        record = proof.dns_resource_records[0]
        records = {
            "edge": (f"{edge.domain}.", "A", address.address),
            "edge-proof": (record.name, record.type, record.data),
        }
        for name, (host, kind, value) in records.items():
            dns.RecordSet(
                name,
                managed_zone=edge.dns_zone,
                name=host,
                type=kind,
                rrdatas=[value],
                ttl=300,
                opts=context.options(),
            )
    certificate = certificatemanager.Certificate(
        "edge",
        name=context.name("edge"),
        managed=certificatemanager.CertificateManagedArgs(domains=[edge.domain], dns_authorizations=[proof.id]),
        opts=context.options(),
    )
    certificates = certificatemanager.CertificateMap("edge", name=context.name("edge"), opts=context.options())
    certificatemanager.CertificateMapEntry(
        "edge",
        name=context.name("edge"),
        map=certificates.name,
        hostname=edge.domain,
        certificates=[certificate.id],
        opts=context.options(),
    )
    _callers(context)
    return Entrance(address.name, certificates.name)


def policies(config: GcpConfig, provider: kubernetes.Provider, after: list[pulumi.Resource]) -> None:
    """Tell the load balancer who may call, how long streams may be, and how to see that pods are well."""
    target = {"group": "", "kind": "Service", "name": NAME}
    backend = {"securityPolicy": f"{config.name}-edge", "timeoutSec": 86400, "logging": {"enabled": True}}
    _policy(config, "GCPBackendPolicy", {"default": backend, "targetRef": target}, provider, after)
    probe = {
        "type": "HTTP",
        "httpHealthCheck": {"portSpecification": "USE_FIXED_PORT", "port": HTTP, "requestPath": "/healthcheck"},
    }
    _policy(config, "HealthCheckPolicy", {"default": {"config": probe}, "targetRef": target}, provider, after)


def _policy(
    config: GcpConfig, kind: str, spec: dict[str, Any], provider: kubernetes.Provider, after: list[pulumi.Resource]
) -> None:
    CustomResource(
        f"edge-{kind.lower()}",
        api_version="networking.gke.io/v1",
        kind=kind,
        metadata=meta.ObjectMetaArgs(name=NAME, namespace=config.control_plane.namespace),
        spec=spec,
        opts=pulumi.ResourceOptions(provider=provider, depends_on=after),
    )


def _callers(context: Context) -> None:
    """Let the configuration's networks call; nobody else, and nobody at all if there are none."""
    rules = [
        compute.SecurityPolicyRuleArgs(
            action="deny(403)",
            priority=2147483647,
            description="Everybody else",
            match=compute.SecurityPolicyRuleMatchArgs(
                versioned_expr="SRC_IPS_V1", config=compute.SecurityPolicyRuleMatchConfigArgs(src_ip_ranges=["*"])
            ),
        )
    ]
    if context.config.network.sources:
        allowed = compute.SecurityPolicyRuleMatchConfigArgs(src_ip_ranges=list(context.config.network.sources))
        rules.append(
            compute.SecurityPolicyRuleArgs(
                action="allow",
                priority=1000,
                description="Callers of the platform",
                match=compute.SecurityPolicyRuleMatchArgs(versioned_expr="SRC_IPS_V1", config=allowed),
            )
        )
    compute.SecurityPolicy("edge", name=context.name("edge"), rules=rules, opts=context.options())
