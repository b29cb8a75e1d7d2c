"""The namespaces of projects' domains: who tasks are there, how much they may use, and whom they reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.networking import v1 as networking

from flyteform_platform.dataplane.names import OBJECTS_SECRET, POD_TEMPLATE, WORKLOAD
from flyteform_platform.dataplane.secrets import path_of, task_secret
from flyteform_platform.foundation import Identity, Scope
from flyteform_platform.parts.deployments import metadata
from flyteform_platform.parts.labels import in_namespace, namespace_labels
from flyteform_platform.parts.networks import METADATA_SERVICE

if TYPE_CHECKING:
    import pulumi
    from flyteform_platform.config import Limits, PlatformConfig, Project
    from flyteform_platform.foundation import Agent, Foundation

_COMPONENT = "project"
# What of a project's limit is asked for by pods, in the words of a ResourceQuota.
_QUOTAS = {"cpu": "requests.cpu", "memory": "requests.memory", "gpu": "requests.nvidia.com/gpu", "pods": "pods"}


def project_scopes(config: PlatformConfig) -> list[tuple[Project, Scope]]:
    """Return all domains of all projects."""
    return [(project, Scope(project.name, domain)) for project in config.projects for domain in project.domains]


@dataclass(frozen=True, slots=True)
class ProjectNamespaces:
    """Makes the namespaces `after` what outlives them; the operator and the control plane need no right to make any."""

    config: PlatformConfig
    foundation: Foundation
    opts: pulumi.ResourceOptions
    after: tuple[pulumi.Resource, ...] = ()

    def make(self) -> list[pulumi.Resource]:
        """Make all of them."""
        return [self._make(project, scope) for project, scope in project_scopes(self.config)]

    def _make(self, project: Project, scope: Scope) -> core.Namespace:
        import pulumi

        about = meta.ObjectMetaArgs(
            name=scope.namespace,
            labels={**namespace_labels(), "flyte.org/project": scope.project, "flyte.org/domain": scope.domain},
        )
        after = pulumi.ResourceOptions.merge(self.opts, pulumi.ResourceOptions(depends_on=list(self.after)))
        namespace = core.Namespace(f"project-{scope.namespace}", metadata=about, opts=after)
        inside = pulumi.ResourceOptions.merge(self.opts, pulumi.ResourceOptions(depends_on=[namespace]))
        identity = self.foundation.identities.workloads.get(scope.key, Identity())
        self._account(scope, identity, inside)
        self._template(scope, identity, inside)
        self._limits(scope, project.limits.get(scope.domain), inside)
        self._network(scope, inside)
        for secret in project.secrets:
            path = path_of(self.foundation.name, self.foundation.profile.secret_path, scope, secret)
            task_secret(scope, secret, path, inside)
        return namespace

    def _account(self, scope: Scope, identity: Identity, opts: pulumi.ResourceOptions) -> None:
        """Make the account of the domain's tasks, and let the namespace's own have no token at all."""
        core.ServiceAccount(
            f"{scope.namespace}-tasks",
            metadata=meta.ObjectMetaArgs(
                name=WORKLOAD,
                namespace=scope.namespace,
                labels={**identity.labels},
                # It is there already: Kubernetes makes it with the namespace.
                annotations={**identity.annotations, "pulumi.com/patchForce": "true"},
            ),
            automount_service_account_token=False,
            opts=opts,
        )

    def _template(self, scope: Scope, identity: Identity, opts: pulumi.ResourceOptions) -> None:
        """Make the template of the tasks' pods: their labels, and static keys where there is no identity."""
        keys = {**self.foundation.metadata.keys, **self.foundation.raw.keys}
        container: dict[str, Any] = {
            "name": "default",
            "image": "flyteform.invalid/default",
            # Said here, as the API server would say Always for an image without a tag.
            "image_pull_policy": "IfNotPresent",
            "security_context": core.SecurityContextArgs(
                allow_privilege_escalation=False, capabilities=core.CapabilitiesArgs(drop=["ALL"])
            ),
        }
        if keys:
            about = metadata(OBJECTS_SECRET, scope.namespace, _COMPONENT)
            core.Secret(f"{scope.namespace}-objects", metadata=about, string_data=keys, opts=opts)
            source = core.SecretEnvSourceArgs(name=OBJECTS_SECRET)
            container["env_from"] = [core.EnvFromSourceArgs(secret_ref=source)]
        core.PodTemplate(
            f"{scope.namespace}-template",
            metadata=metadata(POD_TEMPLATE, scope.namespace, _COMPONENT),
            template=core.PodTemplateSpecArgs(
                metadata=meta.ObjectMetaArgs(labels=dict(identity.pod_labels)),
                spec=core.PodSpecArgs(
                    automount_service_account_token=False,
                    enable_service_links=False,
                    security_context=core.PodSecurityContextArgs(
                        run_as_non_root=True, seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault")
                    ),
                    containers=[core.ContainerArgs(**container)],
                ),
            ),
            opts=opts,
        )

    def _limits(self, scope: Scope, limits: Limits | None, opts: pulumi.ResourceOptions) -> None:
        given = {} if limits is None else limits.model_dump(exclude_none=True)
        if given:
            core.ResourceQuota(
                f"{scope.namespace}-quota",
                metadata=metadata("project", scope.namespace, _COMPONENT),
                spec=core.ResourceQuotaSpecArgs(hard={_QUOTAS[key]: str(each) for key, each in given.items()}),
                opts=opts,
            )
        core.LimitRange(
            f"{scope.namespace}-defaults",
            metadata=metadata("project", scope.namespace, _COMPONENT),
            spec=core.LimitRangeSpecArgs(
                limits=[
                    core.LimitRangeItemArgs(
                        type="Container",
                        default_request={"cpu": "100m", "memory": "256Mi"},
                        default={"memory": "1Gi"},
                    )
                ]
            ),
            opts=opts,
        )

    def _network(self, scope: Scope, opts: pulumi.ResourceOptions) -> None:
        """Let tasks reach everything but the nodes' own identity; nobody reaches tasks but those of the namespace."""
        profile = self.foundation.profile
        reached = ("kube-system", *profile.service_namespaces)
        own = networking.NetworkPolicyPeerArgs(pod_selector=meta.LabelSelectorArgs())
        outside = networking.NetworkPolicyPeerArgs(
            ip_block=networking.IPBlockArgs(cidr="0.0.0.0/0", except_=[METADATA_SERVICE])
        )
        networking.NetworkPolicy(
            f"{scope.namespace}-tasks",
            metadata=metadata("tasks", scope.namespace, _COMPONENT),
            spec=networking.NetworkPolicySpecArgs(
                pod_selector=meta.LabelSelectorArgs(),
                policy_types=["Ingress", "Egress"],
                ingress=[networking.NetworkPolicyIngressRuleArgs(from_=[own])],
                egress=[
                    *(networking.NetworkPolicyEgressRuleArgs(to=[_namespace(each)]) for each in reached),
                    networking.NetworkPolicyEgressRuleArgs(to=[outside]),
                    networking.NetworkPolicyEgressRuleArgs(to=[own]),
                    *(_agent(each) for each in profile.agents),
                ],
            ),
            opts=opts,
        )


def _agent(agent: Agent) -> networking.NetworkPolicyEgressRuleArgs:
    return networking.NetworkPolicyEgressRuleArgs(
        to=[networking.NetworkPolicyPeerArgs(ip_block=networking.IPBlockArgs(cidr=agent.cidr))],
        ports=[networking.NetworkPolicyPortArgs(port=agent.port, protocol="TCP")],
    )


def _namespace(name: str) -> networking.NetworkPolicyPeerArgs:
    return networking.NetworkPolicyPeerArgs(namespace_selector=meta.LabelSelectorArgs(match_labels=in_namespace(name)))
