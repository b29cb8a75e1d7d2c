"""What a cluster of one's own gives to the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flyteform_onprem.databases import databases
from flyteform_onprem.objects import store_of
from flyteform_onprem.seaweedfs import KEYS
from flyteform_platform.config import secret
from flyteform_platform.foundation import (
    Bucket,
    Cluster,
    ClusterProfile,
    Edge,
    Foundation,
    Identities,
    NodeGroup,
)

if TYPE_CHECKING:
    from flyteform_onprem.config import OnPremConfig
    from flyteform_onprem.facts import ClusterFacts
    from pulumi import Input

ISSUER: Final = "flyteform"


def foundation(config: OnPremConfig, facts: ClusterFacts, kubeconfig: Input[str]) -> Foundation:
    """Return the foundation; everything is known, as nothing of it is made here."""
    admin, catalog = databases(config)
    metadata, raw = _buckets(config)
    edge = config.edge
    return Foundation(
        name=config.name,
        environment=config.preset,
        cluster=Cluster(config.data_plane.name, kubeconfig, facts.issuer, facts.jwks, context=config.onprem.context),
        metadata=metadata,
        raw=raw,
        admin=admin,
        catalog=catalog,
        # Outside of clouds nobody hands out identities: tasks have the keys of their namespace's Secret.
        identities=Identities(),
        edge=Edge(
            edge.domain,
            config.onprem.gateway_class,
            issuer="" if edge.certificate_secret else ISSUER,
            certificate_secret=edge.certificate_secret,
            sources=config.network.sources,
            own_url=edge.url,
        ),
        profile=_profile(config),
        tags=config.tags,
    )


def _buckets(config: OnPremConfig) -> tuple[Bucket, Bucket]:
    store = store_of(config)
    environment = {"AWS_ENDPOINT_URL": store.endpoint, "AWS_REGION": store.region}
    if store.endpoint.startswith("http://"):
        environment["AWS_ALLOW_HTTP"] = "true"
    keys = {name: secret(key) for name, key in KEYS.items()}
    metadata, raw = (Bucket(f"s3://{name}", store.region, environment, keys) for name in store.buckets)
    return metadata, raw


def _profile(config: OnPremConfig) -> ClusterProfile:
    store, nodes = store_of(config), config.onprem.nodes
    return ClusterProfile(
        system=NodeGroup(nodes.system),
        workers=NodeGroup(nodes.workers),
        gpu=NodeGroup(nodes.gpu, ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},)),
        storage_class=config.onprem.storage_class,
        service_cidrs=config.onprem.service_cidrs,
        service_ports=tuple(sorted({*config.onprem.service_ports, store.port})),
        service_namespaces=(store.namespace,) if store.namespace else (),
    )
