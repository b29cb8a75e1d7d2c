"""The provider of a cluster: everything that is made in it is made through this one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi_kubernetes as kubernetes

if TYPE_CHECKING:
    import pulumi
    from flyteform_platform.foundation import Cluster


def cluster_provider(name: str, cluster: Cluster, opts: pulumi.ResourceOptions | None = None) -> kubernetes.Provider:
    """Return the provider of a cluster; it writes by server-side apply, so that others' fields stay theirs."""
    return kubernetes.Provider(
        f"{name}-cluster",
        kubeconfig=cluster.kubeconfig,
        context=cluster.context or None,
        enable_server_side_apply=True,
        opts=opts,
    )
