"""Groups of nodes, as the configuration's pools say, and how pods find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulumi_aws import autoscaling, ec2, eks, iam

from flyteform_aws import documents
from flyteform_aws.config import is_arm
from flyteform_aws.registry import PUBLIC, cache_prefix
from flyteform_platform.foundation import NodeGroup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform_aws.cluster import EksCluster
    from flyteform_aws.context import Context
    from flyteform_aws.network import Network
    from flyteform_platform.config import NodePool

POOL: Final = "flyteform.org/pool"
SPOT: Final = "flyteform.org/spot"
GPU: Final = "nvidia.com/gpu"
_POLICIES = ("AmazonEKSWorkerNodeMinimalPolicy", "AmazonEC2ContainerRegistryPullOnly")
_EFFECTS = {"NO_SCHEDULE": "NoSchedule"}


def make_nodes(context: Context, network: Network, cluster: EksCluster) -> list[eks.NodeGroup]:
    """Make a managed group for each pool. Nodes may pull images and join the cluster; pods have their own roles."""
    role = iam.Role(
        "nodes",
        name=context.name("nodes"),
        assume_role_policy=documents.text(documents.trust("ec2.amazonaws.com")),
        opts=context.options(),
    )
    attached = [
        iam.RolePolicyAttachment(
            f"nodes-{index}",
            role=role.name,
            policy_arn=f"arn:{context.config.aws.partition}:iam::aws:policy/{policy}",
            opts=context.options(),
        )
        for index, policy in enumerate(_POLICIES)
    ]
    copies = [context.config.arn("ecr", f"repository/{cache_prefix(context, name)}/*") for name in PUBLIC]
    iam.RolePolicy(
        "nodes",
        role=role.id,
        policy=documents.text(documents.cached_images(copies)),
        opts=context.options(),
    )
    return [_group(context, network, cluster, pool, role, attached) for pool in context.config.node_pools]


def labels_of(pool: NodePool) -> dict[str, str]:
    """Return the labels of a pool's nodes."""
    labels = {POOL: "system" if pool.system else "workers"}
    if pool.spot:
        labels[SPOT] = "true"
    if pool.gpus:
        labels["nvidia.com/gpu.product"] = pool.gpu_type
    return labels


def taints_of(pool: NodePool) -> list[eks.NodeGroupTaintArgs]:
    """Return what keeps pods away that have not asked for a pool's nodes."""
    taints = []
    if pool.spot:
        taints.append(eks.NodeGroupTaintArgs(key=SPOT, value="true", effect="NO_SCHEDULE"))
    if pool.gpus:
        taints.append(eks.NodeGroupTaintArgs(key=GPU, value="present", effect="NO_SCHEDULE"))
    return taints


def spot_nodes() -> NodeGroup:
    """Return how interruptible tasks find spot nodes."""
    return NodeGroup({SPOT: "true"}, ({"key": SPOT, "operator": "Equal", "value": "true", "effect": "NoSchedule"},))


def gpu_nodes() -> NodeGroup:
    """Return what tasks with GPUs tolerate; the product's label finds the nodes."""
    return NodeGroup({}, ({"key": GPU, "operator": "Exists", "effect": "NoSchedule"},))


def _group(
    context: Context,
    network: Network,
    cluster: EksCluster,
    pool: NodePool,
    role: iam.Role,
    attached: list[iam.RolePolicyAttachment],
) -> eks.NodeGroup:
    template = _template(context, pool)
    group = eks.NodeGroup(
        pool.name,
        cluster_name=cluster.resource.name,
        node_group_name=context.name(pool.name),
        node_role_arn=role.arn,
        subnet_ids=[subnet.id for subnet in network.private],
        ami_type=_image(pool),
        capacity_type="SPOT" if pool.spot else "ON_DEMAND",
        instance_types=list(pool.machines),
        labels=labels_of(pool),
        taints=taints_of(pool),
        launch_template=eks.NodeGroupLaunchTemplateArgs(
            id=template.id, version=template.latest_version.apply(lambda number: str(int(number)))
        ),
        scaling_config=eks.NodeGroupScalingConfigArgs(
            min_size=pool.minimum, max_size=pool.maximum, desired_size=pool.minimum
        ),
        node_repair_config=eks.NodeGroupNodeRepairConfigArgs(enabled=True),
        update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable_percentage=33),
        # The autoscaler decides on the size from then on.
        opts=context.options(ignore=["scalingConfig.desiredSize"], after=attached),
    )
    if not pool.minimum:
        _describe(context, pool, group)
    return group


def _template(context: Context, pool: NodePool) -> ec2.LaunchTemplate:
    disk = ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
        volume_size=pool.disk_gib, volume_type="gp3", encrypted="true", delete_on_termination="true"
    )
    return ec2.LaunchTemplate(
        pool.name,
        name=context.name(pool.name),
        update_default_version=True,
        # One hop: pods do not reach the credentials of their node.
        metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
            http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
        ),
        block_device_mappings=[ec2.LaunchTemplateBlockDeviceMappingArgs(device_name="/dev/xvda", ebs=disk)],
        monitoring=ec2.LaunchTemplateMonitoringArgs(enabled=True),
        tag_specifications=[
            ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=context.named(pool.name))
            for kind in ("instance", "volume")
        ],
        opts=context.options(),
    )


def _image(pool: NodePool) -> str:
    if pool.gpus:
        return "AL2023_ARM_64_NVIDIA" if is_arm(pool.machines[0]) else "AL2023_x86_64_NVIDIA"
    return "AL2023_ARM_64_STANDARD" if is_arm(pool.machines[0]) else "AL2023_x86_64_STANDARD"


def _describe(context: Context, pool: NodePool, group: eks.NodeGroup) -> None:
    """Tell the autoscaler what nodes of an empty group would be like; EKS does not hand its labels on."""
    described = {f"label/{key}": value for key, value in labels_of(pool).items()}
    for taint in taints_of(pool):
        described[f"taint/{taint.key}"] = f"{taint.value}:{_EFFECTS[str(taint.effect)]}"
    if pool.gpus:
        described[f"resources/{GPU}"] = str(pool.gpus)
    scaled = group.resources.apply(_scaled_name)
    for key, value in described.items():
        autoscaling.Tag(
            f"{pool.name}-{key}",
            autoscaling_group_name=scaled,
            tag=autoscaling.TagTagArgs(
                key=f"k8s.io/cluster-autoscaler/node-template/{key}", value=value, propagate_at_launch=False
            ),
            opts=context.options(),
        )


def _scaled_name(found: Sequence[eks.outputs.NodeGroupResource]) -> str:
    # EKS makes one with each group of nodes.
    return "".join(str(group.name) for group in found[0].autoscaling_groups or ())
