"""How callers arrive: a certificate that renews itself, and the balancer that the gateway asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_aws import acm, route53

if TYPE_CHECKING:
    import pulumi
    from flyteform_aws.config import AwsConfig
    from flyteform_aws.context import Context

_BALANCER = "service.beta.kubernetes.io/aws-load-balancer"


def make_certificate(context: Context) -> pulumi.Output[str]:
    """Make the certificate of the platform's domain, and return its ARN, known once AWS has seen that it is ours.

    The proof is a record in the zone of the configuration; without a zone, somebody else makes it.
    """
    edge = context.config.edge
    made = acm.Certificate(
        "edge",
        domain_name=edge.domain,
        validation_method="DNS",
        key_algorithm="EC_prime256v1",
        opts=context.options(),
    )
    if not edge.dns_zone:
        return made.arn
    proof = made.domain_validation_options[0]
    record = route53.Record(
        "edge-proof",
        zone_id=edge.dns_zone,
        name=proof.resource_record_name,
        type=proof.resource_record_type.apply(route53.RecordType),
        records=[proof.resource_record_value],
        ttl=300,
        allow_overwrite=True,
        opts=context.options(),
    )
    proved = acm.CertificateValidation(
        "edge", certificate_arn=made.arn, validation_record_fqdns=[record.fqdn], opts=context.options()
    )
    return proved.certificate_arn


def balancer_annotations(config: AwsConfig, certificate: pulumi.Input[str]) -> dict[str, pulumi.Input[str]]:
    """Return what the gateway's Service asks the balancer to be: it ends TLS, and speaks HTTP/2 for gRPC.

    It is on the internet only where the configuration says who may call it.
    """
    annotations: dict[str, pulumi.Input[str]] = {
        f"{_BALANCER}-type": "external",
        f"{_BALANCER}-nlb-target-type": "ip",
        f"{_BALANCER}-scheme": "internet-facing" if config.network.sources else "internal",
        f"{_BALANCER}-ssl-cert": certificate,
        f"{_BALANCER}-ssl-ports": "443",
        f"{_BALANCER}-ssl-negotiation-policy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        f"{_BALANCER}-alpn-policy": "HTTP2Preferred",
    }
    if config.is_production:
        annotations[f"{_BALANCER}-attributes"] = "deletion_protection.enabled=true"
    return annotations
