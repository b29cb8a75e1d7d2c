"""Pools of nodes, as the configuration says, and how pods find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulumi_gcp import container

from flyteform_platform.foundation import NodeGroup

if TYPE_CHECKING:
    from flyteform_gcp.cluster import GkeCluster
    from flyteform_gcp.context import Context
    from flyteform_platform.config import NodePool

POOL: Final = "flyteform.org/pool"
# These two are GKE's own: it labels and taints nodes by them.
SPOT: Final = "cloud.google.com/gke-spot"
GPU: Final = "nvidia.com/gpu"
GPU_LABEL: Final = "cloud.google.com/gke-accelerator"
_WEEK = "604800s"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def make_nodes(context: Context, cluster: GkeCluster) -> list[container.NodePool]:
    """Make a pool of GKE for each of the configuration's."""
    return [_pool(context, cluster, pool) for pool in context.config.node_pools]


def spot_nodes() -> NodeGroup:
    """Return how interruptible tasks find spot nodes."""
    return NodeGroup({SPOT: "true"}, ({"key": SPOT, "operator": "Equal", "value": "true", "effect": "NoSchedule"},))


def gpu_nodes() -> NodeGroup:
    """Return what tasks with GPUs tolerate."""
    return NodeGroup({}, ({"key": GPU, "operator": "Exists", "effect": "NoSchedule"},))


def _pool(context: Context, cluster: GkeCluster, pool: NodePool) -> container.NodePool:
    return container.NodePool(
        pool.name,
        name=pool.name,
        cluster=cluster.resource.id,
        location=context.config.gcp.region,
        node_locations=list(context.config.zones),
        initial_node_count=1 if pool.minimum else 0,
        autoscaling=container.NodePoolAutoscalingArgs(
            total_min_node_count=pool.minimum, total_max_node_count=pool.maximum, location_policy=_policy(pool)
        ),
        management=container.NodePoolManagementArgs(auto_repair=not _waits(context, pool), auto_upgrade=True),
        upgrade_settings=container.NodePoolUpgradeSettingsArgs(max_surge=1, max_unavailable=0),
        network_config=container.NodePoolNetworkConfigArgs(enable_private_nodes=True),
        node_config=_config(context, cluster, pool),
        # The autoscaler decides on the size from then on.
        opts=context.options(ignore=["initialNodeCount", "nodeCount"]),
    )


def _waits(context: Context, pool: NodePool) -> bool:
    """Tell whether nodes are waited for until Google has some, and are left alone until they end (flex start)."""
    return pool.name in context.config.gcp.flex_start


def _policy(pool: NodePool) -> str:
    return "ANY" if pool.spot or pool.gpus else "BALANCED"


def _config(context: Context, cluster: GkeCluster, pool: NodePool) -> container.NodePoolNodeConfigArgs:
    labels = {POOL: "system" if pool.system else "workers"}
    waits = _waits(context, pool)
    taints = []
    if pool.spot:
        taints.append(container.NodePoolNodeConfigTaintArgs(key=SPOT, value="true", effect="NO_SCHEDULE"))
    return container.NodePoolNodeConfigArgs(
        machine_type=pool.machines[0],
        disk_size_gb=pool.disk_gib,
        disk_type="pd-balanced",
        image_type="COS_CONTAINERD",
        spot=pool.spot,
        flex_start=True if waits else None,
        max_run_duration=_WEEK if waits else None,
        reservation_affinity=container.NodePoolNodeConfigReservationAffinityArgs(
            consume_reservation_type="NO_RESERVATION"
        )
        if waits
        else None,
        labels=labels,
        taints=taints,
        tags=[context.config.name],
        service_account=cluster.nodes.email,
        oauth_scopes=[_SCOPE],
        workload_metadata_config=container.NodePoolNodeConfigWorkloadMetadataConfigArgs(mode="GKE_METADATA"),
        shielded_instance_config=container.NodePoolNodeConfigShieldedInstanceConfigArgs(
            enable_secure_boot=True, enable_integrity_monitoring=True
        ),
        metadata={"disable-legacy-endpoints": "true"},
        guest_accelerators=_accelerators(pool),
    )


def _accelerators(pool: NodePool) -> list[container.NodePoolNodeConfigGuestAcceleratorArgs] | None:
    if not pool.gpus:
        return None
    driver = container.NodePoolNodeConfigGuestAcceleratorGpuDriverInstallationConfigArgs(gpu_driver_version="DEFAULT")
    return [
        container.NodePoolNodeConfigGuestAcceleratorArgs(
            type=pool.gpu_type, count=pool.gpus, gpu_driver_installation_config=driver
        )
    ]
