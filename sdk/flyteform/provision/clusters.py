"""Clusters as they are declared: the message of one, and how it is taken apart into fields."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from flyteform.proto.flyteform.v1 import clusters_pb2
from flyteform.provision.resources.clusters import weights_of

if TYPE_CHECKING:
    from flyteform.provision.resources import Cluster

_STATE = "CLUSTER_STATE_"
# What an operator has said of a cluster: of the rest its data plane decides.
_HELD_BACK = (clusters_pb2.CLUSTER_STATE_CORDONED, clusters_pb2.CLUSTER_STATE_DRAINING)
_THUMB = 12  # digits of a key's digest


def cluster_message(declared: Cluster) -> clusters_pb2.Cluster:
    """Return what is declared of a cluster; a state that is not has none."""
    message = clusters_pb2.Cluster(name=declared.name)
    spec = message.spec
    spec.labels.update(weights_of(declared.labels))
    if declared.weight is not None:
        spec.weight = declared.weight
    if declared.identity is not None:
        for name in ("issuer", "audience", "subject", "jwks"):
            setattr(spec.identity, name, getattr(declared.identity, name))
    if declared.storage is not None:
        for name in ("prefix", "provider", "bucket", "region"):
            setattr(spec.storage, name, getattr(declared.storage, name))
    spec.template_values.update(declared.template_values or {})
    if declared.state is not None:
        message.state = clusters_pb2.ClusterState.Value(_STATE + declared.state.upper())
    return message


def declared_part(cluster: clusters_pb2.Cluster) -> clusters_pb2.Cluster:
    """Return what a declaration can say of a cluster that is there: nothing of what its data plane does."""
    state = cluster.state if cluster.state in _HELD_BACK else clusters_pb2.CLUSTER_STATE_READY
    return clusters_pb2.Cluster(name=cluster.name, spec=cluster.spec, state=state)


def cluster_fields(cluster: clusters_pb2.Cluster) -> dict[str, str]:
    """Take a cluster apart; its keys by their names and digests."""
    spec = cluster.spec
    fields = {"weight": _number(spec.weight if spec.HasField("weight") else 1.0)}
    fields |= {f"labels.{label}": _number(weight) for label, weight in spec.labels.items()}
    if spec.HasField("identity"):
        fields |= {f"identity.{name}": getattr(spec.identity, name) for name in ("issuer", "audience", "subject")}
        fields["identity.jwks"] = _keys(spec.identity.jwks)
    for name in ("prefix", "provider", "bucket", "region"):
        if text := getattr(spec.storage, name):
            fields[f"storage.{name}"] = text
    fields |= {f"template_values.{name}": text for name, text in spec.template_values.items()}
    return fields | ({"state": state_of(cluster)} if cluster.state else {})


def state_of(cluster: clusters_pb2.Cluster) -> str:
    """Return the word of a declaration for a cluster's state."""
    return clusters_pb2.ClusterState.Name(cluster.state).removeprefix(_STATE).lower()


def _number(weight: float) -> str:
    return repr(weight).removesuffix(".0")


def _keys(jwks: str) -> str:
    """Name the keys of a set; what cannot be read is named by its digest."""
    try:
        keys = json.loads(jwks)["keys"]
        names = [f"{key.get('kid', '')} ({_digest(json.dumps(key, sort_keys=True))})".strip() for key in keys]
    except (ValueError, KeyError, TypeError, AttributeError):
        return _digest(jwks)
    return ", ".join(sorted(names))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_THUMB]
