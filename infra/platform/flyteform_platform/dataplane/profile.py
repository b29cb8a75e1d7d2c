"""The operator's profile file, from the cluster's profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
from flyteform_platform.dataplane.names import POD_TEMPLATE

if TYPE_CHECKING:
    from flyteform_platform.foundation import ClusterProfile, Foundation


def profile_document(foundation: Foundation, image: str) -> pulumi.Output[dict[str, Any]]:
    """Return the document that the operator reads with `--profile`; `image` has the copier of data."""
    environment = pulumi.Output.all(**{**foundation.metadata.environment, **foundation.raw.environment})
    profile = foundation.profile
    static = {**_placement(profile), **_accelerators(profile), **_links(profile)}
    return environment.apply(
        lambda variables: {
            "environment": variables,
            "default-pod-template-name": POD_TEMPLATE,
            "copilot": {"image": image},
            **static,
        }
    )


def _placement(profile: ClusterProfile) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if profile.workers.selector:
        found["node-selector"] = dict(profile.workers.selector)
    if profile.workers.tolerations:
        found["tolerations"] = [dict(each) for each in profile.workers.tolerations]
    if profile.gpu.tolerations:
        found["resource-tolerations"] = {profile.gpu_resource: [dict(each) for each in profile.gpu.tolerations]}
    if profile.spot.selector or profile.spot.tolerations:
        found["spot"] = {
            "node-selector": dict(profile.spot.selector),
            "tolerations": [dict(each) for each in profile.spot.tolerations],
        }
    return found


def _accelerators(profile: ClusterProfile) -> dict[str, Any]:
    section = {"resource": profile.gpu_resource, "device-label": profile.gpu_label}
    return {"accelerators": {**section, "devices": dict(profile.gpu_devices)}}


def _links(profile: ClusterProfile) -> dict[str, Any]:
    links = [{"display-name": each.name, "template-uris": [each.uri]} for each in profile.log_links]
    return {"log-links": links} if links else {}
