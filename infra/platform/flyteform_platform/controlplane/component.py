"""The control plane as one component: everything that one namespace holds of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta
from pulumi_kubernetes.rbac import v1 as rbac

import pulumi
from flyteform_platform.controlplane.configuration import settings
from flyteform_platform.controlplane.databases import CA_CONFIG, authorities, database_access
from flyteform_platform.controlplane.monitoring import monitor
from flyteform_platform.controlplane.names import (
    ACCOUNT,
    COMPONENT,
    GRPC,
    HTTP,
    LOGIN_SECRET,
    NAME,
    OBJECTS_SECRET,
    PRIORITY,
    RELEASE,
    RELEASE_ACCOUNT,
    service_host,
)
from flyteform_platform.controlplane.processes import CONFIG, Processes
from flyteform_platform.controlplane.routes import Routes
from flyteform_platform.controlplane.secrets import database_secrets
from flyteform_platform.controlplane.trust import trusted
from flyteform_platform.dataplane.names import COMPONENT as DATA_PLANE
from flyteform_platform.parts.deployments import autoscaler, budget, deployment, metadata, priority
from flyteform_platform.parts.documents import checksum
from flyteform_platform.parts.labels import labels, namespace_labels, selector
from flyteform_platform.parts.networks import Allowed, allow, deny_all, inside

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pulumi_kubernetes as kubernetes

    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.foundation import Foundation

    Prepare = Callable[[pulumi.ResourceOptions], Sequence[pulumi.Resource]]


_ACCOUNTS: Final = {COMPONENT: ACCOUNT, RELEASE: RELEASE_ACCOUNT}


class ControlPlane(pulumi.ComponentResource):
    """Serves one platform. `address` is where data planes of the same cluster reach gRPC, as host:port.

    `serving` has to be there for as long as somebody calls.
    """

    def __init__(
        self,
        config: PlatformConfig,
        foundation: Foundation,
        provider: kubernetes.Provider,
        *,
        after: Sequence[pulumi.Resource] = (),
        prepare: Prepare | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make it in the cluster of the provider, `after` what it needs there (operators of secrets, of gateways).

        `prepare` makes what has to be in its namespace before it is (a database in the cluster).
        """
        super().__init__("flyteform:platform:ControlPlane", config.name, None, opts)
        self._config = config
        self._foundation = foundation
        self._namespace = config.control_plane.namespace
        self._opts = pulumi.ResourceOptions(parent=self, provider=provider, depends_on=list(after))
        namespace = self._make_namespace()
        self._opts = pulumi.ResourceOptions(parent=self, provider=provider, depends_on=[*after, namespace])
        self.serving = self._serve(list(prepare(self._opts)) if prepare else [])
        self.address = f"{service_host(self._namespace)}:{GRPC}"
        self.register_outputs({"address": self.address, "url": foundation.edge.url})

    def _make_namespace(self) -> core.Namespace:
        about = meta.ObjectMetaArgs(name=self._namespace, labels=namespace_labels())
        return core.Namespace(self._namespace, metadata=about, opts=self._opts)

    def _serve(self, prepared: list[pulumi.Resource]) -> list[pulumi.Resource]:
        access = database_access(self._foundation)
        checksum = self._configuration()
        secrets = [*prepared, *database_secrets(self._foundation, self._namespace, self._opts), *self._objects_secret()]
        self._accounts()
        policies = self._policies()
        processes = Processes(self._config, self._foundation, access, checksum)
        ready = pulumi.ResourceOptions.merge(self._opts, pulumi.ResourceOptions(depends_on=secrets))
        rank = priority(PRIORITY, COMPONENT, self._opts)
        release = processes.release(ready)
        # Additive migrations first, then new replicas beside old ones.
        after = pulumi.ResourceOptions.merge(self._opts, pulumi.ResourceOptions(depends_on=[release, rank]))
        serving = [deployment(NAME, self._namespace, processes.serving(), after), self._service(), *policies]
        autoscaler(NAME, self._namespace, COMPONENT, self._config.control_plane.replicas, after)
        budget(NAME, self._namespace, COMPONENT, self._opts)
        if self._config.addons.has_gateway or self._foundation.edge.is_cloud_gateway:
            Routes(self._foundation.edge, self._namespace, self._opts).make()
        if self._config.addons.has_monitoring:
            monitor(self._namespace, self._opts)
        return serving

    def _configuration(self) -> pulumi.Output[str]:
        """Make the files that processes read; return what changes whenever one of them does."""
        config = pulumi.Output.json_dumps(settings(self._config, self._foundation), indent=1, sort_keys=True)
        trust = trusted(self._config, self._foundation)
        pems = authorities(self._foundation)
        data = {"config.yaml": config, "trusted.json": trust}
        core.ConfigMap(CONFIG, metadata=metadata(CONFIG, self._namespace, COMPONENT), data=data, opts=self._opts)
        about = metadata(CA_CONFIG, self._namespace, COMPONENT)
        core.ConfigMap(CA_CONFIG, metadata=about, data={"ca.pem": pems}, opts=self._opts)
        return pulumi.Output.all(config, trust, pems).apply(lambda texts: checksum(*texts))

    def _objects_secret(self) -> list[pulumi.Resource]:
        keys = self._foundation.metadata.keys
        if not keys:
            return []
        about = metadata(OBJECTS_SECRET, self._namespace, COMPONENT)
        return [core.Secret(OBJECTS_SECRET, metadata=about, string_data=dict(keys), opts=self._opts)]

    def _accounts(self) -> None:
        identity = self._foundation.identities.control_plane
        for component in (COMPONENT, RELEASE):
            name = _ACCOUNTS[component]
            core.ServiceAccount(
                name,
                metadata=meta.ObjectMetaArgs(
                    name=name,
                    namespace=self._namespace,
                    labels={**labels(component), **identity.labels},
                    annotations=dict(identity.annotations) or None,
                ),
                automount_service_account_token=False,
                opts=self._opts,
            )
        self._release_role()

    def _release_role(self) -> None:
        name = RELEASE_ACCOUNT
        about = metadata(name, self._namespace, RELEASE)
        rules = [
            # A name cannot be asked for when something is made.
            rbac.PolicyRuleArgs(api_groups=[""], resources=["secrets"], verbs=["create"]),
            rbac.PolicyRuleArgs(api_groups=[""], resources=["secrets"], verbs=["get"], resource_names=[LOGIN_SECRET]),
        ]
        rbac.Role(name, metadata=about, rules=rules, opts=self._opts)
        rbac.RoleBinding(
            name,
            metadata=about,
            role_ref=rbac.RoleRefArgs(api_group="rbac.authorization.k8s.io", kind="Role", name=name),
            subjects=[rbac.SubjectArgs(kind="ServiceAccount", name=name, namespace=self._namespace)],
            opts=self._opts,
        )

    def _policies(self) -> list[pulumi.Resource]:
        foundation, profile = self._foundation, self._foundation.profile
        databases = tuple(sorted({foundation.admin.port, foundation.catalog.port}))
        services = Allowed(profile.service_ports, cidrs=profile.service_cidrs)
        outside = Allowed(databases, cidrs=profile.database_cidrs or profile.service_cidrs)
        gateway = foundation.edge.gateway_cidrs
        callers = [
            Allowed((GRPC,), self._config.data_plane.namespace, DATA_PLANE),
            Allowed((GRPC, HTTP), "" if gateway else foundation.edge.gateway_namespace, cidrs=gateway),
        ]
        if self._config.addons.has_monitoring:
            callers.append(Allowed((HTTP,), "monitoring"))
        called = [services, outside, Allowed(databases, self._namespace), *inside(profile)]
        return [
            deny_all(self._namespace, self._opts),
            allow(self._namespace, COMPONENT, self._opts, ingress=callers, egress=called),
            allow(self._namespace, RELEASE, self._opts, egress=called),
        ]

    def _service(self) -> core.Service:
        ports = [
            core.ServicePortArgs(name="grpc", port=GRPC, target_port="grpc", app_protocol="kubernetes.io/h2c"),
            core.ServicePortArgs(name="http", port=HTTP, target_port="http", app_protocol="http"),
        ]
        return core.Service(
            NAME,
            metadata=metadata(NAME, self._namespace, COMPONENT),
            spec=core.ServiceSpecArgs(type="ClusterIP", selector=selector(COMPONENT), ports=ports),
            opts=self._opts,
        )
