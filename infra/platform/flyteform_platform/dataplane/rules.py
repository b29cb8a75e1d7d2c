"""What the operator may do in Kubernetes: no more than it does, with no wildcard, and nothing with Secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pulumi_kubernetes.rbac import v1 as rbac

if TYPE_CHECKING:
    from collections.abc import Iterable

_READ: Final = ("get", "list", "watch")
_OWN: Final = (*_READ, "create", "patch", "delete")
# Groups and resources of the operators of others, by the name of the plugin that uses them.
PLUGINS: Final = {
    "spark": ("sparkoperator.k8s.io", ("sparkapplications",)),
    "ray": ("ray.io", ("rayjobs",)),
    "dask": ("kubernetes.dask.org", ("daskjobs",)),
    "kubeflow": ("kubeflow.org", ("pytorchjobs", "tfjobs", "mpijobs")),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: verbs on resources of a group, on all names or on some."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()


def work_rules(plugins: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Return what the operator does in namespaces of tasks."""
    return (
        Rule("flyte.lyft.com", ("flyteworkflows",), (*_OWN, "update", "deletecollection")),
        Rule("flyte.lyft.com", ("flyteworkflows/status", "flyteworkflows/finalizers"), ("update", "patch")),
        Rule("", ("pods",), (*_OWN, "update")),
        Rule("", ("pods/log",), ("get",)),
        Rule("", ("podtemplates",), _READ),
        Rule("", ("events",), ("create", "patch")),
        *(Rule(PLUGINS[each][0], PLUGINS[each][1], _OWN) for each in plugins),
    )


def own_rules() -> tuple[Rule, ...]:
    """Return what it does in its own namespace: leases, by which operators take turns."""
    return (Rule("coordination.k8s.io", ("leases",), (*_READ, "create", "update", "patch")),)


def policy_rules(rules: Iterable[Rule]) -> list[rbac.PolicyRuleArgs]:
    """Return rules as Kubernetes has them."""
    return [
        rbac.PolicyRuleArgs(
            api_groups=[rule.group],
            resources=list(rule.resources),
            verbs=list(rule.verbs),
            resource_names=list(rule.names) or None,
        )
        for rule in rules
    ]
