"""What only clusters on AWS need: sizes of node groups, load balancers, and the way to the secrets of AWS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi_kubernetes.helm import v3 as helm

import pulumi
from flyteform_aws.identities import AUTOSCALER, DNS, LOAD_BALANCERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_kubernetes as kubernetes

    from flyteform_aws.config import AwsConfig


@dataclass(frozen=True, slots=True)
class _Chart:
    name: str
    account: str
    version: str
    repository: str
    namespace: str = "kube-system"


_AUTOSCALER = _Chart("cluster-autoscaler", AUTOSCALER[1], "9.59.0", "https://kubernetes.github.io/autoscaler")
_DNS = _Chart("external-dns", DNS[1], "1.21.1", "https://kubernetes-sigs.github.io/external-dns", DNS[0])
_BALANCERS = _Chart("aws-load-balancer-controller", LOAD_BALANCERS[1], "3.4.2", "https://aws.github.io/eks-charts")


def install_services(config: AwsConfig, vpc: pulumi.Input[str], provider: kubernetes.Provider) -> list[pulumi.Resource]:
    """Install the charts that make nodes and load balancers of what the cluster asks for."""
    region = config.aws.region
    scaling = {
        "autoDiscovery": {"clusterName": config.name},
        "awsRegion": region,
        "rbac": {"serviceAccount": {"name": _AUTOSCALER.account}},
        "replicaCount": 2 if config.is_production else 1,
        "extraArgs": {"expander": "least-waste", "balance-similar-node-groups": True},
    }
    balancing = {
        "clusterName": config.name,
        "region": region,
        "vpcId": vpc,
        "serviceAccount": {"name": _BALANCERS.account},
        "replicaCount": 2 if config.is_production else 1,
    }
    return [_release(_AUTOSCALER, scaling, provider), _release(_BALANCERS, balancing, provider)]


def secrets_of(config: AwsConfig) -> dict[str, Any]:
    """Return where external-secrets reads: Secrets Manager, as who its own pods are."""
    return {"aws": {"service": "SecretsManager", "region": config.aws.region}}


def publish_names(
    config: AwsConfig, provider: kubernetes.Provider, after: Sequence[pulumi.Resource]
) -> list[pulumi.Resource]:
    """Point the platform's domain at its gateway, where the zone is AWS's."""
    if not config.edge.dns_zone:
        return []
    values = {
        "provider": {"name": "aws"},
        "sources": ["gateway-httproute", "gateway-grpcroute"],
        "domainFilters": [config.edge.domain],
        "extraArgs": [f"--zone-id-filter={config.edge.dns_zone}"],
        "txtOwnerId": config.name,
        "policy": "sync",
        "serviceAccount": {"name": _DNS.account},
        "env": [{"name": "AWS_DEFAULT_REGION", "value": config.aws.region}],
    }
    # Its sources are the gateway's resources, whose kinds are there after the gateway's chart.
    return [_release(_DNS, values, provider, after)]


def _release(
    chart: _Chart, values: dict[str, Any], provider: kubernetes.Provider, after: Sequence[pulumi.Resource] = ()
) -> helm.Release:
    return helm.Release(
        chart.name,
        name=chart.name,
        chart=chart.name,
        version=chart.version,
        namespace=chart.namespace,
        create_namespace=True,
        repository_opts=helm.RepositoryOptsArgs(repo=chart.repository),
        values=values,
        atomic=True,
        timeout=600,
        opts=pulumi.ResourceOptions(provider=provider, depends_on=list(after)),
    )
