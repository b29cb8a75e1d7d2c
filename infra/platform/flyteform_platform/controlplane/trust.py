"""Whose tokens the control plane believes: those of the clusters whose keys are pinned, and of no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi
from flyteform_platform.dataplane.names import ACCOUNT

if TYPE_CHECKING:
    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.foundation import Foundation


def trusted(config: PlatformConfig, foundation: Foundation) -> pulumi.Output[str]:
    """Return `trusted.json`: the cluster of this stack's data plane, and those that the configuration pins."""
    more = [
        _issuer(each.name, each.issuer, each.jwks, each.namespace, foundation.edge.url)
        for each in config.control_plane.clusters
    ]
    cluster = foundation.cluster
    own = pulumi.Output.all(issuer=cluster.issuer, jwks=cluster.jwks).apply(
        lambda given: _issuer(
            config.data_plane.name,
            given["issuer"],
            json.loads(given["jwks"]),
            config.data_plane.namespace,
            foundation.edge.url,
        )
    )
    return own.apply(lambda entry: json.dumps({"issuers": [entry, *more]}, indent=1, sort_keys=True))


def _issuer(cluster: str, issuer: str, jwks: Any, namespace: str, audience: str) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "issuer": issuer,
        "audience": audience,
        "subject": f"system:serviceaccount:{namespace}:{ACCOUNT}",
        "jwks": jwks,
    }
