"""Network policies: nothing may reach a namespace's pods or leave them, but for what is allowed by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.networking import v1 as networking

from flyteform_platform.parts.deployments import metadata
from flyteform_platform.parts.labels import in_namespace, selector

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pulumi
    from flyteform_platform.foundation import ClusterProfile

_DNS: Final = 53
# Where clouds hand out the nodes' own identity: no pod has business there, but where the cloud puts an agent of its own
# in its place, that hands out the pod's (`ClusterProfile.agents`).
METADATA_SERVICE: Final = "169.254.169.254/32"


@dataclass(frozen=True, slots=True)
class Allowed:
    """Pods of a namespace (of one component, or all), or addresses, and the TCP ports that are allowed.

    No ports are all ports.
    """

    ports: tuple[int, ...] = ()
    namespace: str = ""
    component: str = ""
    cidrs: tuple[str, ...] = ()


def deny_all(namespace: str, opts: pulumi.ResourceOptions, *, component: str = "network") -> networking.NetworkPolicy:
    """Let nothing in or out of a namespace."""
    return networking.NetworkPolicy(
        f"{namespace}-default-deny",
        metadata=metadata("default-deny", namespace, component),
        spec=networking.NetworkPolicySpecArgs(
            pod_selector=meta.LabelSelectorArgs(), policy_types=["Ingress", "Egress"]
        ),
        opts=opts,
    )


def allow(
    namespace: str,
    component: str,
    opts: pulumi.ResourceOptions,
    *,
    ingress: Iterable[Allowed] = (),
    egress: Iterable[Allowed] = (),
) -> networking.NetworkPolicy:
    """Let a component's pods be reached and reach what is named; DNS is always reached."""
    dns = networking.NetworkPolicyEgressRuleArgs(
        to=[
            networking.NetworkPolicyPeerArgs(
                namespace_selector=meta.LabelSelectorArgs(match_labels=in_namespace("kube-system"))
            )
        ],
        ports=[networking.NetworkPolicyPortArgs(port=_DNS, protocol=protocol) for protocol in ("UDP", "TCP")],
    )
    return networking.NetworkPolicy(
        f"{namespace}-{component}",
        metadata=metadata(component, namespace, component),
        spec=networking.NetworkPolicySpecArgs(
            pod_selector=meta.LabelSelectorArgs(match_labels=selector(component)),
            policy_types=["Ingress", "Egress"],
            ingress=[
                networking.NetworkPolicyIngressRuleArgs(from_=_peers(each), ports=_ports(each)) for each in ingress
            ],
            egress=[
                dns,
                *(networking.NetworkPolicyEgressRuleArgs(to=_peers(each), ports=_ports(each)) for each in egress),
            ],
        ),
        opts=opts,
    )


def inside(profile: ClusterProfile) -> list[Allowed]:
    """Return the services that are in the cluster itself, and on its nodes."""
    agents = [Allowed((each.port,), cidrs=(each.cidr,)) for each in profile.agents]
    return [*(Allowed(profile.service_ports, each) for each in profile.service_namespaces), *agents]


def _ports(allowed: Allowed) -> list[networking.NetworkPolicyPortArgs]:
    return [networking.NetworkPolicyPortArgs(port=port, protocol="TCP") for port in allowed.ports]


def _peers(allowed: Allowed) -> list[networking.NetworkPolicyPeerArgs]:
    if allowed.cidrs:
        return [
            networking.NetworkPolicyPeerArgs(
                ip_block=networking.IPBlockArgs(cidr=cidr, except_=[METADATA_SERVICE] if cidr == "0.0.0.0/0" else None)
            )
            for cidr in allowed.cidrs
        ]
    return [
        networking.NetworkPolicyPeerArgs(
            namespace_selector=meta.LabelSelectorArgs(match_labels=in_namespace(allowed.namespace)),
            pod_selector=meta.LabelSelectorArgs(match_labels=selector(allowed.component))
            if allowed.component
            else None,
        )
    ]
