"""A data plane's cluster, declared at its control plane: who it is, where it keeps data, and what may run there.

For stacks of data planes alone. The control plane believes the cluster from the next call on, without a change of its
own stack; and where the cloud replaces the keys of its clusters, the next `pulumi up` pins the new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pulumi
from flyteform.pulumi import Cluster, Provider
from flyteform_platform.config import secret
from flyteform_platform.dataplane.names import ACCOUNT

if TYPE_CHECKING:
    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.foundation import Foundation

# Of the login that the control plane's release makes.
_CLIENT: Final = "flyteform"
SECRET: Final = "controlPlaneSecret"  # noqa: S105 - a key of the configuration


def declare_cluster(config: PlatformConfig, foundation: Foundation, address: pulumi.Input[str]) -> Cluster:
    """Declare the cluster at the control plane whose gRPC is at `address` (`grpcs://HOST:PORT`)."""
    plane = config.data_plane
    endpoint = pulumi.Output.from_input(address).apply(lambda text: text.removeprefix("grpcs://"))
    platform = Provider(
        f"{config.name}-control-plane",
        endpoint=endpoint,
        insecure=False,
        client_id=_CLIENT,
        client_secret=secret(SECRET),
    )
    return Cluster(
        plane.name,
        labels=list(plane.labels),
        weight=plane.weight,
        identity={
            "issuer": foundation.cluster.issuer,
            "audience": foundation.edge.url,
            "subject": f"system:serviceaccount:{plane.namespace}:{ACCOUNT}",
            "jwks": foundation.cluster.jwks,
        },
        storage={"prefix": foundation.metadata.uri},
        opts=pulumi.ResourceOptions(provider=platform),
    )
