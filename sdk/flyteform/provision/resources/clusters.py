"""Clusters: where work runs, how much of it, and how their data planes prove who they are."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flyteform.errors import DefinitionError
from flyteform.provision.resources.base import Resource, check_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

STATES = ("ready", "cordoned", "draining")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}").fullmatch
_HEAVIEST = 1e6
# What only the private half of a key has (RFC 7518, section 6), and the whole of a shared one.
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_LABELS = 'write labels=["gpu"] or {"gpu": 2}'
_KEYS = "give what `kubectl get --raw /openid/v1/jwks` prints on that cluster"


@dataclass(frozen=True)
class ClusterIdentity:
    """Whose tokens are the cluster's own: only those that all of this fits.

    `issuer` and `audience` are the `iss` and `aud` of the tokens of its data plane's service account, `subject` is
    `system:serviceaccount:NAMESPACE:NAME`. `jwks` are the public keys that sign them, as text or as a mapping: they
    are pinned, the issuer is never asked.
    """

    issuer: str
    audience: str
    subject: str
    jwks: str | Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what says nothing, and keys that are none or private; keep the keys as one text."""
        for name in ("issuer", "audience", "subject"):
            given: object = getattr(self, name)
            if not isinstance(given, str) or not given:
                raise DefinitionError(f"ClusterIdentity: {name} takes a text, not {given!r}")
        object.__setattr__(self, "jwks", _public_keys(self.jwks))


@dataclass(frozen=True)
class ClusterStorage:
    """Where the cluster keeps the data of its executions.

    `prefix` is the URI that all of its objects begin with (`s3://bucket/prefix`): when it is given, the data plane has
    to have the same.
    """

    prefix: str = ""
    provider: str = ""
    bucket: str = ""
    region: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no text, or nothing at all."""
        given: tuple[object, ...] = (self.prefix, self.provider, self.bucket, self.region)
        if not all(isinstance(each, str) for each in given) or not any(given):
            raise DefinitionError("ClusterStorage takes texts", remedy='write for example prefix="s3://bucket/prefix"')


@dataclass(frozen=True, eq=False)
class Cluster(Resource):
    """A cluster that work is leased to; it is declared on a flyteform control plane, and belongs to no project.

    `labels` are those whose work may run there, each with the cluster's weight among the ready ones that have it, or
    as a list with weight 1; `weight` is that for work without a label. Without `identity` the data plane logs in with a
    bootstrap token. `template_values` are for the resources that the platform keeps in the cluster. `state` holds work
    back (`cordoned` for now, `draining` for good) or lets it come (`ready`); None leaves that to operators.
    """

    name: str
    labels: Mapping[str, float] | Sequence[str] = field(default=(), kw_only=True)
    weight: float | None = field(default=None, kw_only=True)
    identity: ClusterIdentity | None = field(default=None, kw_only=True)
    storage: ClusterStorage | None = field(default=None, kw_only=True)
    template_values: Mapping[str, str] | None = field(default=None, kw_only=True)
    state: Literal["ready", "cordoned", "draining"] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuse what no control plane would take."""
        given: object = self.name
        if not isinstance(given, str) or not _NAME(given):
            raise DefinitionError(
                f"Cluster: {given!r} is no name of a cluster", remedy="use letters, digits, '.', '_' and '-', up to 63"
            )
        object.__setattr__(self, "labels", weights_of(self.labels))
        if self.weight is not None:
            _check_weight("weight", self.weight)
        for name, kind in (("identity", ClusterIdentity), ("storage", ClusterStorage)):
            if not isinstance(getattr(self, name), kind | None):
                raise DefinitionError(f"Cluster: {name} takes a {kind.__name__}, not {getattr(self, name)!r}")
        check_texts("Cluster", "template_values", self.template_values)
        if self.state not in (None, *STATES):
            raise DefinitionError(f"Cluster: {self.state!r} is no state", remedy=f"use {', '.join(STATES)}")
        if self.moved:
            raise DefinitionError(
                "Cluster: a cluster cannot be renamed: its data plane is known by the name",
                remedy="declare the new one beside it, drain the old one, then take that out",
            )
        super().__post_init__()


def weights_of(given: Any) -> dict[str, float]:
    """Return the weight of each label, 1 for those of a list; `DefinitionError` for what is no label or weight."""
    if not isinstance(given, Mapping | list | tuple | set | frozenset | str):
        raise DefinitionError(f"Cluster: labels={given!r} are no labels", remedy=_LABELS)
    weights = given if isinstance(given, Mapping) else dict.fromkeys((given,) if isinstance(given, str) else given, 1.0)
    for label, weight in weights.items():
        if not isinstance(label, str) or not label:
            raise DefinitionError(f"Cluster: {label!r} is no label", remedy=_LABELS)
        _check_weight(f"labels[{label!r}]", weight)
    return {label: float(weight) for label, weight in weights.items()}


def _check_weight(where: str, weight: object) -> None:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= _HEAVIEST:
        raise DefinitionError(f"Cluster: {where}={weight!r} is no weight: it has to be 0 to {_HEAVIEST:g}")


def _public_keys(given: Any) -> str:
    """Return a set of keys as one text, however it was spaced and ordered."""
    try:
        document = json.loads(given) if isinstance(given, str) else dict(given)
        keys = [dict(key) for key in document["keys"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DefinitionError("ClusterIdentity: jwks is no set of keys", remedy=_KEYS) from None
    if not keys:
        raise DefinitionError("ClusterIdentity: there is no key in jwks", remedy=_KEYS)
    if any(not _PRIVATE.isdisjoint(key) for key in keys):
        raise DefinitionError("ClusterIdentity: there is a private key in jwks", remedy=_KEYS)
    return json.dumps({"keys": keys}, sort_keys=True, separators=(",", ":"))
