"""The Kubernetes cluster: its control plane, who may administer it, and what EKS installs on it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulumi_aws import cloudwatch, eks, iam

import pulumi
from flyteform_aws import documents
from flyteform_platform.clouds.kubeconfig import kubeconfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_aws.context import Context
    from flyteform_aws.keys import Keys
    from flyteform_aws.network import Network

_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
_ADMINISTRATOR = "cluster-access-policy/AmazonEKSClusterAdminPolicy"


@dataclass(frozen=True, slots=True)
class EksCluster:
    """The cluster, and the security group that its nodes and pods are in."""

    resource: eks.Cluster
    security_group: pulumi.Output[str]
    issuer: pulumi.Output[str]
    kubeconfig: pulumi.Output[str]


def make_cluster(context: Context, network: Network, keys: Keys) -> EksCluster:
    """Make the cluster. Whoever creates it has no rights in it: administrators are named, each by an access entry."""
    config, settings = context.config, context.config.aws
    role = _role(context)
    logs = cloudwatch.LogGroup(
        "cluster",
        # EKS writes to a group of this name, and would make one without an end of retention.
        name=f"/aws/eks/{config.name}/cluster",
        retention_in_days=settings.log_days,
        opts=context.options(),
    )
    public = None if config.network.private_api else list(config.network.administrators)
    made = eks.Cluster(
        "cluster",
        name=config.name,
        version=settings.kubernetes,
        role_arn=role.arn,
        access_config=eks.ClusterAccessConfigArgs(
            authentication_mode="API", bootstrap_cluster_creator_admin_permissions=False
        ),
        vpc_config=eks.ClusterVpcConfigArgs(
            subnet_ids=[subnet.id for subnet in network.private],
            endpoint_private_access=True,
            endpoint_public_access=public is not None,
            public_access_cidrs=public,
        ),
        encryption_config=eks.ClusterEncryptionConfigArgs(
            provider=eks.ClusterEncryptionConfigProviderArgs(key_arn=keys.cluster.arn), resources=["secrets"]
        ),
        enabled_cluster_log_types=list(_LOGS),
        bootstrap_self_managed_addons=False,
        deletion_protection=config.is_production,
        upgrade_policy=eks.ClusterUpgradePolicyArgs(support_type="STANDARD"),
        zonal_shift_config=eks.ClusterZonalShiftConfigArgs(enabled=True) if config.is_production else None,
        opts=context.options(protect=config.is_production, after=[logs]),
    )
    _administrators(context, made)
    return EksCluster(
        made,
        made.vpc_config.cluster_security_group_id.apply(str),
        made.identities.apply(_issuer),
        _kubeconfig(context, made),
    )


def _issuer(found: Sequence[eks.outputs.ClusterIdentity]) -> str:
    # Every cluster of EKS has one.
    return "".join(str(oidc.issuer) for oidc in found[0].oidcs or ())


def install_basics(context: Context, cluster: EksCluster, nodes: list[eks.NodeGroup]) -> None:
    """Install what EKS maintains itself: network, DNS, disks, usage of pods, the agent that hands out identities."""
    _addon(context, cluster, "vpc-cni", {"enableNetworkPolicy": "true"})
    _addon(context, cluster, "kube-proxy")
    _addon(context, cluster, "eks-pod-identity-agent")
    _addon(context, cluster, "coredns", after=nodes)
    # Autoscaling of pods asks it; no other cloud's clusters come without.
    _addon(context, cluster, "metrics-server", after=nodes)
    disks = iam.Role(
        "disks",
        name=context.name("disks"),
        assume_role_policy=cluster.resource.arn.apply(
            lambda arn: documents.text(documents.trust_pods(arn, "kube-system", "ebs-csi-controller-sa"))
        ),
        opts=context.options(),
    )
    _attach(context, "disks", disks, "service-role/AmazonEBSCSIDriverPolicyV2")
    _addon(
        context,
        cluster,
        "aws-ebs-csi-driver",
        {"defaultStorageClass": {"enabled": True}},
        identities=[eks.AddonPodIdentityAssociationArgs(role_arn=disks.arn, service_account="ebs-csi-controller-sa")],
        after=nodes,
    )


def _addon(
    context: Context,
    cluster: EksCluster,
    name: str,
    values: dict[str, object] | None = None,
    *,
    identities: list[eks.AddonPodIdentityAssociationArgs] | None = None,
    after: list[eks.NodeGroup] | None = None,
) -> None:
    eks.Addon(
        name,
        cluster_name=cluster.resource.name,
        addon_name=name,
        configuration_values=json.dumps(values, sort_keys=True) if values else None,
        pod_identity_associations=identities,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="PRESERVE",
        opts=context.options(after=after or ()),
    )


def _role(context: Context) -> iam.Role:
    role = iam.Role(
        "cluster",
        name=context.name("cluster"),
        assume_role_policy=documents.text(documents.trust("eks.amazonaws.com")),
        opts=context.options(),
    )
    _attach(context, "cluster", role, "AmazonEKSClusterPolicy")
    return role


def _attach(context: Context, name: str, role: iam.Role, policy: str) -> None:
    iam.RolePolicyAttachment(
        name,
        role=role.name,
        policy_arn=f"arn:{context.config.aws.partition}:iam::aws:policy/{policy}",
        opts=context.options(),
    )


def _administrators(context: Context, cluster: eks.Cluster) -> None:
    for arn in context.config.aws.administrators:
        name = arn.rpartition("/")[2]
        entry = eks.AccessEntry(
            name, cluster_name=cluster.name, principal_arn=arn, type="STANDARD", opts=context.options()
        )
        eks.AccessPolicyAssociation(
            name,
            cluster_name=cluster.name,
            principal_arn=arn,
            policy_arn=f"arn:{context.config.aws.partition}:eks::aws:{_ADMINISTRATOR}",
            access_scope=eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=context.options(after=[entry]),
        )


def _kubeconfig(context: Context, cluster: eks.Cluster) -> pulumi.Output[str]:
    name = context.config.name
    arguments = ["--region", context.config.aws.region, "eks", "get-token", "--cluster-name", name]
    authority = cluster.certificate_authority.apply(lambda found: str(found.data))
    return pulumi.Output.all(cluster.endpoint, authority).apply(
        lambda parts: kubeconfig(name, parts[0], "aws", arguments, authority=parts[1])
    )
