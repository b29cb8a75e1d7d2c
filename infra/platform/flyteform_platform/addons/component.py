"""The add-ons of a cluster: charts, and the few resources that make them serve the platform."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.helm import v3 as helm
from pulumi_kubernetes.meta import v1 as meta

import pulumi
from flyteform_platform.addons.charts import ALL, Chart
from flyteform_platform.foundation import Identity
from flyteform_platform.parts.documents import merged
from flyteform_platform.parts.labels import namespace_labels

if TYPE_CHECKING:
    import pulumi_kubernetes as kubernetes

    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.foundation import Foundation

# What a chart needs to be there before it.
_AFTER: Final = {"barman_cloud": ("cloudnative_pg", "cert_manager")}
_CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"


class ClusterAddons(pulumi.ComponentResource):
    """Installs what the configuration wants; `made` is what the planes are installed after."""

    def __init__(
        self,
        config: PlatformConfig,
        foundation: Foundation,
        provider: kubernetes.Provider,
        *,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make them in the cluster of the provider."""
        super().__init__("flyteform:platform:Addons", config.name, None, opts)
        self._config = config
        self._foundation = foundation
        self._opts = pulumi.ResourceOptions(parent=self, provider=provider)
        self.made: list[pulumi.Resource] = []
        self._releases: dict[str, pulumi.Resource] = {}
        self._namespaces: dict[str, core.Namespace] = {}
        for field, chart in ALL.items():
            if getattr(config.addons, field).enabled:
                self._releases[field] = self._release(field, chart)
        self.made.extend(self._releases.values())
        self._gateway_class()
        self._issuer()
        self.register_outputs({})

    def _release(self, field: str, chart: Chart) -> pulumi.Resource:
        after = [
            self._namespace(chart),
            *(self._releases[each] for each in _AFTER.get(field, ()) if each in self._releases),
        ]
        given = getattr(self._config.addons, field)
        repository = helm.RepositoryOptsArgs(repo=chart.repository) if chart.repository else None
        return helm.Release(
            chart.name,
            name=chart.name,
            chart=chart.chart,
            version=given.version or chart.version,
            namespace=chart.namespace,
            repository_opts=repository,
            values=merged(self._values(field, chart), given.values),
            atomic=True,
            timeout=600,
            opts=pulumi.ResourceOptions.merge(self._opts, pulumi.ResourceOptions(depends_on=after)),
        )

    def _namespace(self, chart: Chart) -> core.Namespace:
        """Make a chart's namespace, once for all charts in it."""
        if chart.namespace not in self._namespaces:
            about = meta.ObjectMetaArgs(name=chart.namespace, labels=namespace_labels(chart.level))
            self._namespaces[chart.namespace] = core.Namespace(chart.namespace, metadata=about, opts=self._opts)
        return self._namespaces[chart.namespace]

    def _values(self, field: str, chart: Chart) -> dict[str, Any]:
        values = copy.deepcopy(merged(chart.values, chart.production if self._config.is_production else {}))
        metrics = self._foundation.metrics
        if field == "monitoring" and metrics is not None:
            written = {"url": metrics.url, "sigv4": {"region": metrics.region}}
            values["prometheus"]["prometheusSpec"]["remoteWrite"] = [written]
        identity = getattr(self._foundation.identities, field, Identity())
        if chart.account and identity.annotations:
            place = values
            for part in chart.account[:-1]:
                place = place.setdefault(part, {})
            place[chart.account[-1]] = dict(identity.annotations)
        return values

    def _gateway_class(self) -> None:
        if "envoy_gateway" not in self._releases:
            return
        spec = {"controllerName": _CONTROLLER}
        self._custom("gateway.networking.k8s.io/v1", "GatewayClass", self._foundation.edge.gateway_class, spec)

    def _issuer(self) -> None:
        """Make the issuer of public certificates, where the configuration names whom it may write to."""
        edge, email = self._foundation.edge, self._config.edge.issuer_email
        if "cert_manager" not in self._releases or not edge.issuer or not email:
            return
        gateway = {"kind": "Gateway", "name": "flyteform", "namespace": self._config.control_plane.namespace}
        spec = {
            "acme": {
                "server": "https://acme-v02.api.letsencrypt.org/directory",
                "email": email,
                "privateKeySecretRef": {"name": f"{edge.issuer}-account"},
                "solvers": [{"http01": {"gatewayHTTPRoute": {"parentRefs": [gateway]}}}],
            }
        }
        self._custom("cert-manager.io/v1", "ClusterIssuer", edge.issuer, spec)

    def _custom(self, version: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        after = pulumi.ResourceOptions(depends_on=list(self._releases.values()))
        made = CustomResource(
            f"{name}-{kind.lower()}",
            api_version=version,
            kind=kind,
            metadata=meta.ObjectMetaArgs(name=name),
            spec=spec,
            opts=pulumi.ResourceOptions.merge(self._opts, after),
        )
        self.made.append(made)
