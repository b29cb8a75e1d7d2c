"""Clusters as resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pulumi
from flyteform import provision
from flyteform.errors import DefinitionError
from flyteform.pulumi.base import has_outputs
from flyteform.pulumi.declaring import cluster_spec
from flyteform.pulumi.kinds import CLUSTER, ResourceType
from flyteform.pulumi.options import with_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flyteform.pulumi.base import Texts


class Cluster(pulumi.CustomResource):
    """A cluster that work is leased to; its name is the resource's unless `name` says otherwise.

    `labels` are those whose work may run there, with weights or without; `identity` has `issuer`, `audience`, `subject`
    and `jwks`, and `storage` has `prefix`, `provider`, `bucket` and `region`: all of them may be outputs of other
    resources. `state` is ready, cordoned or draining; without it that is left to operators. What `pulumi import` writes
    gives `name` and `spec` alone.
    """

    described: ClassVar[ResourceType] = CLUSTER

    name: pulumi.Output[str]
    spec: pulumi.Output[Mapping[str, Any]]
    state: pulumi.Output[str]

    def __init__(  # noqa: PLR0913 - one argument for each property
        self,
        resource_name: str,
        *,
        name: pulumi.Input[str] | None = None,
        labels: Mapping[str, pulumi.Input[float]] | Sequence[str] | None = None,
        weight: pulumi.Input[float] | None = None,
        identity: Mapping[str, pulumi.Input[Any]] | None = None,
        storage: Mapping[str, pulumi.Input[str]] | None = None,
        template_values: Texts | None = None,
        state: Literal["ready", "cordoned", "draining"] | None = None,
        spec: pulumi.Input[Mapping[str, Any]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare a cluster."""
        said: dict[str, Any] = {
            "labels": labels,
            "weight": weight,
            "identity": identity,
            "storage": storage,
            "template_values": template_values,
            "state": state,
        }
        given = {key: value for key, value in said.items() if value is not None}
        if spec is not None and given:
            raise DefinitionError(f"{resource_name}: spec says all", remedy=f"leave out {', '.join(given)}")
        properties = {"name": name or resource_name, "spec": _spec(given) if spec is None else spec}
        super().__init__(
            CLUSTER.token, resource_name, {**dict.fromkeys(CLUSTER.outputs), **properties}, with_version(opts)
        )


def _spec(given: Mapping[str, Any]) -> Any:
    """Return what is said of a cluster as JSON, known later where it holds outputs."""
    if has_outputs(dict(given)):
        return pulumi.Output.from_input(dict(given)).apply(_known_spec)
    return _known_spec(given)


def _known_spec(given: Mapping[str, Any]) -> Mapping[str, Any]:
    said = dict(given)
    for name, kind in (("identity", provision.ClusterIdentity), ("storage", provision.ClusterStorage)):
        if name in said:
            said[name] = _of(kind, name, said[name])
    return cluster_spec(provision.Cluster("cluster", **said))


def _of(kind: type[Any], name: str, fields: Mapping[str, Any]) -> Any:
    try:
        return kind(**fields)
    except TypeError:
        names = ", ".join(kind.__dataclass_fields__)
        raise DefinitionError(f"Cluster: {name} has {names}, not {', '.join(map(str, fields))}") from None
