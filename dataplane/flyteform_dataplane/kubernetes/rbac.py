"""What operators may do in a cluster, as little as they need: pure data, from which an installation makes objects.

An operator creates no definition, reads no Secret but those it is named, and gives nobody rights. What it may do to
jobs of other operators follows from the plugins that are enabled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flyteform_dataplane.kubernetes.workflows.definition import GROUP, PLURAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flyteform_dataplane.kubernetes.profile import Json

_API: Final = "rbac.authorization.k8s.io/v1"
_WATCHED: Final = ("get", "list", "watch")
_JOB_VERBS: Final = (*_WATCHED, "create", "delete", "patch")
# Plugin → the resources by which its jobs are run.
PLUGIN_RESOURCES: Final[Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    "kubeflow": (("kubeflow.org", ("pytorchjobs", "tfjobs", "mpijobs")),),
    "ray": (("ray.io", ("rayjobs",)),),
    "spark": (("sparkoperator.k8s.io", ("sparkapplications",)),),
    "dask": (("kubernetes.dask.org", ("daskjobs",)),),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where the rights hold: in the whole cluster, or in these namespaces only (of projects' domains).

    With `later` there is a ClusterRole beside them that nobody has. Whoever makes another namespace binds the operators
    to it there; the resource sync does, where its templates say so and it may (`sync_rules`).
    """

    namespaces: tuple[str, ...] | None = None
    later: bool = False


CLUSTER: Final = Scope()


@dataclass(frozen=True, slots=True)
class Account:
    """A service account, which an installation makes."""

    name: str
    namespace: str

    def subject(self) -> Json:
        """Return it as bindings name it."""
        return {"kind": "ServiceAccount", "name": self.name, "namespace": self.namespace}


def operator_rules(plugins: Iterable[str] = ()) -> list[Json]:
    """Return what an operator does where executions run; a plugin without resources of its own adds nothing."""
    rules = [
        _rule(GROUP, [PLURAL], *_WATCHED, "create", "update", "patch", "delete"),
        _rule(GROUP, [f"{PLURAL}/status"], "update", "patch"),
        _rule(GROUP, [f"{PLURAL}/finalizers"], "update"),
        _rule("", ["pods"], *_WATCHED, "create", "patch", "update", "delete"),
        _rule("", ["pods/log"], "get"),
        _rule("", ["podtemplates"], *_WATCHED),
        _rule("", ["events"], "create", "patch"),
        _rule("events.k8s.io", ["events"], "create", "patch"),
    ]
    for plugin in sorted(set(plugins)):
        rules += [_rule(group, resources, *_JOB_VERBS) for group, resources in PLUGIN_RESOURCES.get(plugin, ())]
    return rules


def own_rules(
    lease: str, *, config_maps: Sequence[str] = (), secrets: Sequence[str] = (), scope: Scope = CLUSTER
) -> list[Json]:
    """Return what an operator does in its own namespace: the lease that operators share, and what it is named.

    Where its other rights end at some namespaces, it reads the pod templates that serve all of them here.
    """
    rules = [
        # Names cannot be told apart where an object is yet to be made.
        _rule("coordination.k8s.io", ["leases"], "create"),
        {**_rule("coordination.k8s.io", ["leases"], "get", "update"), "resourceNames": [lease]},
    ]
    if scope.namespaces is not None:
        rules.append(_rule("", ["podtemplates"], *_WATCHED))
    for resource, names in (("configmaps", config_maps), ("secrets", secrets)):
        if names:
            rules.append({**_rule("", [resource], "get"), "resourceNames": list(names)})
    return rules


def webhook_rules(configuration: str) -> list[Json]:
    """Return what a webhook does that puts its own certificate into its configuration; with cert-manager, nothing."""
    group = "admissionregistration.k8s.io"
    return [
        {
            **_rule(group, ["mutatingwebhookconfigurations"], "get", "update", "patch"),
            "resourceNames": [configuration],
        }
    ]


def sync_rules(bound_roles: Sequence[str] = ()) -> list[Json]:
    """Return what the resource sync does: it makes namespaces and what belongs into them, and deletes nothing.

    It may bind the roles that it is named, and no others: whoever may bind any role has all rights.
    """
    verbs = (*_WATCHED, "create", "update", "patch")
    rules = [
        _rule("", ["namespaces", "serviceaccounts", "resourcequotas", "limitranges"], *verbs),
        _rule("networking.k8s.io", ["networkpolicies"], *verbs),
        _rule("rbac.authorization.k8s.io", ["rolebindings"], *verbs),
    ]
    if bound_roles:
        bind = _rule("rbac.authorization.k8s.io", ["clusterroles"], "bind")
        rules.append({**bind, "resourceNames": list(bound_roles)})
    return rules


def operator_manifests(
    account: Account,
    *,
    lease: str = "flyteform-operator",
    plugins: Iterable[str] = (),
    scope: Scope = CLUSTER,
    config_maps: Sequence[str] = (),
    secrets: Sequence[str] = (),
) -> list[Json]:
    """Return the account of operators with all its roles and bindings."""
    own = own_rules(lease, config_maps=config_maps, secrets=secrets, scope=scope)
    rules = operator_rules(plugins)
    return [
        _account(account),
        *_granted(account, account.name, rules, scope),
        *([_cluster_role(account.name, rules)] if scope.later else []),
        *_granted(account, f"{account.name}-own", own, Scope((account.namespace,))),
    ]


def webhook_manifests(account: Account, configuration: str) -> list[Json]:
    """Return the account of the webhook with its role and its binding; configurations belong to no namespace."""
    return [_account(account), *_granted(account, account.name, webhook_rules(configuration), CLUSTER)]


def sync_manifests(account: Account, bound_roles: Sequence[str] = ()) -> list[Json]:
    """Return the account of the resource sync with its role and its binding; it makes namespaces, so in the cluster.

    The account may be the operators' own, as the sync is a part of them: the role has a name of its own.
    """
    return [_account(account), *_granted(account, f"{account.name}-sync", sync_rules(bound_roles), CLUSTER)]


def _rule(group: str, resources: Sequence[str], *verbs: str) -> Json:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _account(account: Account) -> Json:
    metadata = {"name": account.name, "namespace": account.namespace}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _cluster_role(name: str, rules: list[Json]) -> Json:
    return {"apiVersion": _API, "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}


def _granted(account: Account, name: str, rules: list[Json], scope: Scope) -> list[Json]:
    """Return a role with these rules and its binding: one in the cluster, or one in each namespace."""
    if scope.namespaces is None:
        return [
            _cluster_role(name, rules),
            _binding("ClusterRoleBinding", {"name": name}, "ClusterRole", account),
        ]
    made: list[Json] = []
    for namespace in scope.namespaces:
        metadata = {"name": name, "namespace": namespace}
        made.append({"apiVersion": _API, "kind": "Role", "metadata": metadata, "rules": rules})
        made.append(_binding("RoleBinding", metadata, "Role", account))
    return made


def _binding(kind: str, metadata: Json, role: str, account: Account) -> Json:
    return {
        "apiVersion": _API,
        "kind": kind,
        "metadata": dict(metadata),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": metadata["name"]},
        "subjects": [account.subject()],
    }
