"""A platform on a foundation: what a stack's roles ask for, in the order in which it has to come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pulumi
from flyteform_platform.addons.component import ClusterAddons
from flyteform_platform.config import Role
from flyteform_platform.controlplane.component import ControlPlane
from flyteform_platform.dataplane.component import DataPlane
from flyteform_platform.dataplane.declaration import declare_cluster
from flyteform_platform.parts.cluster import cluster_provider
from flyteform_platform.references import required

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pulumi_kubernetes as kubernetes

    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.controlplane.component import Prepare
    from flyteform_platform.foundation import Foundation

_HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class Platform:
    """What was installed; None is what another stack has."""

    provider: kubernetes.Provider
    addons: ClusterAddons | None
    control_plane: ControlPlane | None
    data_plane: DataPlane | None


def install(
    config: PlatformConfig,
    foundation: Foundation,
    *,
    provider: kubernetes.Provider | None = None,
    address: pulumi.Input[str] = "",
    after: Sequence[pulumi.Resource] = (),
    prepare: Prepare | None = None,
    extend: Callable[[Sequence[pulumi.Resource]], Sequence[pulumi.Resource]] | None = None,
) -> Platform:
    """Install the roles platform, controlplane and dataplane as far as the stack has them.

    `after` are the cloud's resources that the cluster's contents need (node pools, access). `address` is the control
    plane's gRPC for a data plane in another cluster than its control plane, as `grpcs://host:443`. `prepare` makes
    what the control plane's namespace has to hold before it, once add-ons and namespace are there; `extend`
    makes what stands on add-ons, and the planes stand on.
    """
    cluster = provider or cluster_provider(config.name, foundation.cluster, _after(after))
    addons = ClusterAddons(config, foundation, cluster, opts=_after(after)) if config.has(Role.PLATFORM) else None
    below = [*after, *(addons.made if addons else [])]
    if addons is not None and extend is not None:
        below += extend(addons.made)
    control_plane = data_plane = None
    if config.has(Role.CONTROL_PLANE):
        control_plane = ControlPlane(config, foundation, cluster, after=below, prepare=prepare)
        pulumi.export("url", foundation.edge.url)
        pulumi.export("address", control_plane.address)
    if config.has(Role.DATA_PLANE):
        here = control_plane.address if control_plane else _elsewhere(config, foundation)
        serving = [*control_plane.serving] if control_plane else []
        if config.data_plane.declared:
            # Before its operator calls, and until that has ended.
            serving.append(declare_cluster(config, foundation, address or here))
        data_plane = DataPlane(config, foundation, cluster, address=address or here, after=below, serving=serving)
    return Platform(cluster, addons, control_plane, data_plane)


def _elsewhere(config: PlatformConfig, foundation: Foundation) -> pulumi.Input[str]:
    """Return where another stack's control plane is reached, in whichever cloud it is: by its gateway."""
    if not config.stacks.control_plane:
        return f"grpcs://{foundation.edge.domain}:443"
    url = required(pulumi.StackReference(config.stacks.control_plane), "url")
    return url.apply(lambda text: f"grpcs://{urlsplit(text).hostname}:{urlsplit(text).port or _HTTPS}")


def _after(resources: Sequence[pulumi.Resource]) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(depends_on=list(resources))
