"""Roles and their bindings, as typed resources of manifests that say what a process needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.rbac import v1 as rbac

from flyteform_platform.errors import PlatformError
from flyteform_platform.parts.labels import labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pulumi


def grant(
    manifests: Iterable[Mapping[str, Any]], component: str, opts: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Make the roles and bindings among the manifests, with the component's labels; return them.

    Service accounts are passed over, as each has an identity of its cloud; `PlatformError` for what is no right.
    """
    return [_granted(each, component, opts) for each in manifests if each["kind"] != "ServiceAccount"]


def _granted(manifest: Mapping[str, Any], component: str, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    about = manifest["metadata"]
    name, namespace = about["name"], about.get("namespace")
    unique = f"{namespace}-{name}" if namespace else name
    metadata = meta.ObjectMetaArgs(name=name, namespace=namespace, labels=labels(component))
    match manifest["kind"]:
        case "ClusterRole":
            return rbac.ClusterRole(unique, metadata=metadata, rules=_rules(manifest), opts=opts)
        case "ClusterRoleBinding":
            role, subjects = _bound(manifest)
            return rbac.ClusterRoleBinding(unique, metadata=metadata, role_ref=role, subjects=subjects, opts=opts)
        case "Role":
            return rbac.Role(unique, metadata=metadata, rules=_rules(manifest), opts=opts)
        case "RoleBinding":
            role, subjects = _bound(manifest)
            return rbac.RoleBinding(unique, metadata=metadata, role_ref=role, subjects=subjects, opts=opts)
        case kind:
            raise PlatformError(f"{kind} {name} is no right that can be granted")


def _rules(manifest: Mapping[str, Any]) -> list[rbac.PolicyRuleArgs]:
    return [
        rbac.PolicyRuleArgs(
            api_groups=rule["apiGroups"],
            resources=rule["resources"],
            verbs=rule["verbs"],
            resource_names=rule.get("resourceNames"),
        )
        for rule in manifest["rules"]
    ]


def _bound(manifest: Mapping[str, Any]) -> tuple[rbac.RoleRefArgs, list[rbac.SubjectArgs]]:
    role = manifest["roleRef"]
    reference = rbac.RoleRefArgs(api_group=role["apiGroup"], kind=role["kind"], name=role["name"])
    return reference, [rbac.SubjectArgs(**each) for each in manifest["subjects"]]
