"""Who pods are in AWS: a role for each component and for each domain of a project, by EKS Pod Identity. No keys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import eks, iam

import pulumi
from flyteform_aws import documents
from flyteform_platform.addons import charts
from flyteform_platform.clouds.secrets import EXTERNAL_SECRETS
from flyteform_platform.controlplane.names import ACCOUNT as CONTROL_PLANE
from flyteform_platform.dataplane.names import ACCOUNT as DATA_PLANE
from flyteform_platform.dataplane.projects import project_scopes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pulumi_aws import amp, secretsmanager

    from flyteform_aws.buckets import Buckets
    from flyteform_aws.cluster import EksCluster
    from flyteform_aws.context import Context
    from flyteform_aws.databases import RdsDatabase
    from flyteform_aws.keys import Keys

# Tasks run as this service account of the namespace `<project>-<domain>`, unless a launch plan names another.
WORKLOAD = "default"
MONITORING = (charts.MONITORING.namespace, charts.PROMETHEUS)
AUTOSCALER = ("kube-system", "cluster-autoscaler")
DNS = ("external-dns", "external-dns")
LOAD_BALANCERS = ("kube-system", "aws-load-balancer-controller")


@dataclass(frozen=True, slots=True)
class Stores:
    """What identities are given access to."""

    buckets: Buckets
    databases: dict[str, RdsDatabase]
    keys: Keys
    secrets: Sequence[secretsmanager.Secret] = ()
    metrics: amp.Workspace | None = None


def make_identities(context: Context, cluster: EksCluster, stores: Stores) -> None:
    """Make every role with its policy, and bind each to one service account."""
    config = context.config
    make = _Maker(context, cluster)
    s3 = f"s3.{config.aws.region}.amazonaws.com"
    metadata, raw, key = stores.buckets.metadata.arn, stores.buckets.raw.arn, stores.keys.data.arn
    given = pulumi.Output.all(metadata, raw, key)
    make.role(
        "controlplane",
        (config.control_plane.namespace, CONTROL_PLANE),
        given.apply(lambda arns: documents.control_plane(arns[0], arns[2], s3)),
    )
    make.role(
        "dataplane",
        (config.data_plane.namespace, DATA_PLANE),
        given.apply(lambda arns: documents.data_plane(*arns, s3)),
    )
    for _, scope in project_scopes(config):
        make.role(scope.namespace, (scope.namespace, WORKLOAD), given.apply(_workload(scope.project, scope.domain, s3)))
    known = [*(database.secret for database in stores.databases.values()), *(each.arn for each in stores.secrets)]
    secrets = pulumi.Output.all(key, *known)
    manager = f"secretsmanager.{config.aws.region}.amazonaws.com"
    make.role(
        "external-secrets",
        EXTERNAL_SECRETS,
        secrets.apply(lambda arns: documents.read_secrets(arns[1:], arns[0], manager)),
    )
    if stores.metrics is not None:
        make.role("prometheus", MONITORING, stores.metrics.arn.apply(documents.write_metrics))
    make.role("autoscaler", AUTOSCALER, pulumi.Output.from_input(documents.autoscaler(config.name)))
    if zone := config.edge.dns_zone:
        make.role("dns", DNS, pulumi.Output.from_input(documents.records(config.aws.partition, zone)))
    make.role(
        "load-balancers", LOAD_BALANCERS, cluster.resource.arn.apply(lambda _: documents.load_balancers(config.name))
    )


def _workload(project: str, domain: str, s3: str) -> Callable[[list[str]], documents.Document]:
    return lambda arns: documents.workload(*arns, s3, project, domain)


@dataclass(frozen=True, slots=True)
class _Maker:
    context: Context
    cluster: EksCluster

    def role(self, name: str, account: tuple[str, str], document: pulumi.Output[documents.Document]) -> None:
        """Make a role that only the pods of one service account in this cluster may take."""
        namespace, service_account = account
        role = iam.Role(
            f"pods-{name}",
            name=self.context.name(name),
            assume_role_policy=self.cluster.resource.arn.apply(
                lambda arn: documents.text(documents.trust_pods(arn, namespace, service_account))
            ),
            opts=self.context.options(),
        )
        iam.RolePolicy(
            f"pods-{name}",
            role=role.id,
            policy=document.apply(lambda made: json.dumps(made, sort_keys=True)),
            opts=self.context.options(),
        )
        eks.PodIdentityAssociation(
            f"pods-{name}",
            cluster_name=self.cluster.resource.name,
            namespace=namespace,
            service_account=service_account,
            role_arn=role.arn,
            opts=self.context.options(),
        )
