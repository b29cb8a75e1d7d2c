"""The data plane as one component: its definition, its operator, and the namespaces of projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulumi_kubernetes.apiextensions import v1 as extensions
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

import pulumi
from flyteform_dataplane.kubernetes.rbac import CLUSTER, PLUGIN_RESOURCES, Account, Scope, operator_manifests
from flyteform_dataplane.kubernetes.workflows.definition import NAME as DEFINITION
from flyteform_dataplane.kubernetes.workflows.definition import definition
from flyteform_platform.controlplane.names import COMPONENT as CONTROL_PLANE
from flyteform_platform.controlplane.names import GRPC
from flyteform_platform.dataplane.monitoring import monitor
from flyteform_platform.dataplane.names import ACCOUNT, COMPONENT, NAME, OBJECTS_SECRET, PRIORITY
from flyteform_platform.dataplane.profile import profile_document
from flyteform_platform.dataplane.projects import ProjectNamespaces, project_scopes
from flyteform_platform.dataplane.webhook import SecretsWebhook
from flyteform_platform.errors import ConfigError
from flyteform_platform.parts.access import grant
from flyteform_platform.parts.deployments import budget, deployment, metadata, priority
from flyteform_platform.parts.documents import checksum, named
from flyteform_platform.parts.labels import labels, namespace_labels
from flyteform_platform.parts.networks import Allowed, allow, deny_all, inside
from flyteform_platform.parts.pods import Mount, Pods, asking, config_volume, scratch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi_kubernetes as kubernetes

    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.foundation import Foundation

_PROFILE: Final = "/etc/flyteform/profile"
_TOKEN: Final = "/var/run/secrets/flyteform"  # noqa: S105 - a folder
_STATE: Final = "/var/lib/flyteform"
_HEALTH: Final = 8081
# The shortest that the API server makes; the kubelet renews it in time, and the operator reads it for every call.
_TOKEN_SECONDS: Final = 600


class DataPlane(pulumi.ComponentResource):
    """Runs the executions of one control plane in one cluster. `definition` is the one of FlyteWorkflow."""

    def __init__(
        self,
        config: PlatformConfig,
        foundation: Foundation,
        provider: kubernetes.Provider,
        *,
        address: pulumi.Input[str],
        after: Sequence[pulumi.Resource] = (),
        serving: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make it in the cluster of the provider; `address` is the control plane's gRPC (host:port, or grpcs://…).

        `serving` is what answers there, if this stack has it: it goes after all that still reports to it.
        """
        super().__init__("flyteform:platform:DataPlane", f"{config.name}-{config.data_plane.name}", None, opts)
        self._config = config
        self._foundation = foundation
        self._address = address
        self._serving = serving
        self._namespace = config.data_plane.namespace
        self._opts = pulumi.ResourceOptions(parent=self, provider=provider, depends_on=list(after))
        self.definition = self._definition()
        namespace = core.Namespace(
            self._namespace,
            metadata=meta.ObjectMetaArgs(name=self._namespace, labels=namespace_labels()),
            opts=self._opts,
        )
        self._opts = pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[*after, namespace])
        if self._scope.namespaces is None:
            # They go before the operator, which ends and reports what runs in them: it alone lets go of executions.
            operator = self._operate(self._rights([]))
            self._projects([operator, *serving])
        else:
            self._operate(self._rights(self._projects([])))
        self.register_outputs({})

    def _definition(self) -> extensions.CustomResourceDefinition:
        """Install the definition; with it all executions of the cluster would go, so it is protected in production."""
        document = definition()
        protected = pulumi.ResourceOptions(protect=self._config.is_production)
        return extensions.CustomResourceDefinition(
            DEFINITION,
            metadata=meta.ObjectMetaArgs(name=DEFINITION, labels=labels(COMPONENT)),
            spec=named(document["spec"]),
            opts=pulumi.ResourceOptions.merge(self._opts, protected),
        )

    def _projects(self, after: Sequence[pulumi.Resource]) -> list[pulumi.Resource]:
        return ProjectNamespaces(self._config, self._foundation, self._opts, tuple(after)).make()

    def _operate(self, rights: list[pulumi.Resource]) -> pulumi.Resource:
        rank = priority(PRIORITY, COMPONENT, self._opts)
        needed = [self.definition, rank, *rights, self._account(), *self._policies()]
        document = profile_document(self._foundation, self._config.data_plane.image)
        profile = pulumi.Output.json_dumps(document, indent=1, sort_keys=True)
        core.ConfigMap(
            f"{NAME}-profile",
            metadata=metadata(NAME, self._namespace, COMPONENT),
            data={"profile.yaml": profile},
            opts=self._opts,
        )
        keys = self._foundation.metadata.keys
        if keys:
            about = metadata(OBJECTS_SECRET, self._namespace, COMPONENT)
            core.Secret(f"{NAME}-objects", metadata=about, string_data=dict(keys), opts=self._opts)
        # It is ready when it has a link: before there is anybody to link to it could not be.
        after = pulumi.ResourceOptions(depends_on=[*needed, *self._serving])
        operator = deployment(
            NAME,
            self._namespace,
            self._pods(profile.apply(checksum)),
            pulumi.ResourceOptions.merge(self._opts, after),
            replicas=self._config.data_plane.replicas,
        )
        budget(NAME, self._namespace, COMPONENT, self._opts)
        # Its pods have the class, too.
        ranked = pulumi.ResourceOptions.merge(self._opts, pulumi.ResourceOptions(depends_on=[rank]))
        if self._config.addons.has_certificates:
            SecretsWebhook(self._config, self._foundation, ranked).make()
        if self._config.addons.has_monitoring:
            monitor(self._namespace, self._opts, webhook=self._config.addons.has_certificates)
        return operator

    def _pods(self, checksum: pulumi.Output[str]) -> Pods:
        plane, foundation = self._config.data_plane, self._foundation
        token = core.ServiceAccountTokenProjectionArgs(
            audience=foundation.edge.url, expiration_seconds=_TOKEN_SECONDS, path="token"
        )
        projected = core.ProjectedVolumeSourceArgs(
            default_mode=0o440, sources=[core.VolumeProjectionArgs(service_account_token=token)]
        )
        return Pods(
            component=COMPONENT,
            image=plane.image,
            pull_policy=plane.pull_policy,
            command=self._arguments(),
            account=ACCOUNT,
            resources=plane.resources,
            nodes=foundation.profile.system,
            zone_label=foundation.profile.zone_label,
            environment=foundation.metadata.environment,
            secrets={key: (OBJECTS_SECRET, key) for key in foundation.metadata.keys},
            mounts=(
                Mount(_PROFILE, config_volume("profile", NAME)),
                Mount(_TOKEN, core.VolumeArgs(name="token", projected=projected)),
                Mount(_STATE, scratch("state"), writable=True),
            ),
            pod_labels=foundation.identities.data_plane.pod_labels,
            annotations={"flyteform.org/profile": checksum},
            calls_kubernetes=True,
            ports={"health": _HEALTH},
            probes=asking("/livez", "health", ready="/readyz"),
            priority=PRIORITY,
        )

    def _arguments(self) -> tuple[pulumi.Input[str], ...]:
        return (
            "-m",
            "flyteform_dataplane.kubernetes",
            "--control-plane",
            self._address,
            "--objects",
            self._foundation.metadata.uri,
            "--cluster",
            self._config.data_plane.name,
            "--state-dir",
            _STATE,
            "--token-file",
            f"{_TOKEN}/token",
            "--profile",
            f"{_PROFILE}/profile.yaml",
            # This program makes the namespaces; the operator has no right to.
            "--no-resource-sync",
            "--health-port",
            str(_HEALTH),
            *(f"--limit-namespace={each}" for each in self._scope.namespaces or ()),
        )

    def _account(self) -> core.ServiceAccount:
        identity = self._foundation.identities.data_plane
        return core.ServiceAccount(
            ACCOUNT,
            metadata=meta.ObjectMetaArgs(
                name=ACCOUNT,
                namespace=self._namespace,
                labels={**labels(COMPONENT), **identity.labels},
                annotations=dict(identity.annotations) or None,
            ),
            automount_service_account_token=False,
            opts=self._opts,
        )

    @property
    def _scope(self) -> Scope:
        """Where the operator works: in the whole cluster, or in these projects' namespaces only."""
        if self._config.data_plane.scope == "cluster":
            return CLUSTER
        return Scope(tuple(scope.namespace for _, scope in project_scopes(self._config)))

    def _rights(self, projects: list[pulumi.Resource]) -> list[pulumi.Resource]:
        """Give the operator what it was tested with on a real API server: both read the same table."""
        plugins = self._config.data_plane.plugins
        if unknown := sorted(set(plugins) - set(PLUGIN_RESOURCES)):
            known = ", ".join(sorted(PLUGIN_RESOURCES))
            raise ConfigError(f"platform.dataplane.plugins: there is no {unknown[0]}: use some of {known}")
        manifests = operator_manifests(Account(ACCOUNT, self._namespace), plugins=plugins, scope=self._scope)
        after = pulumi.ResourceOptions(depends_on=projects)
        return grant(manifests, COMPONENT, pulumi.ResourceOptions.merge(self._opts, after))

    def _policies(self) -> list[pulumi.Resource]:
        profile = self._foundation.profile
        services = Allowed(profile.service_ports, cidrs=profile.service_cidrs)
        control_plane = Allowed((GRPC,), self._config.control_plane.namespace, CONTROL_PLANE)
        return [
            deny_all(self._namespace, self._opts),
            allow(self._namespace, COMPONENT, self._opts, egress=[control_plane, services, *inside(profile)]),
        ]
