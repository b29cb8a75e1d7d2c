"""How callers from outside reach the control plane: a gateway, its certificate, and routes for gRPC and HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulumi_kubernetes.apiextensions import CustomResource

import pulumi
from flyteform_platform.controlplane.names import COMPONENT, GRPC, HTTP, NAME, TLS_SECRET
from flyteform_platform.parts.deployments import metadata

if TYPE_CHECKING:
    from flyteform_platform.foundation import Edge

_API: Final = "gateway.networking.k8s.io/v1"
# By these paths calls of gRPC are told from HTTP on one host: clients of Flyte know one address.
SERVICES: Final = (
    "flyteidl.service.AdminService",
    "flyteidl.service.AuthMetadataService",
    "flyteidl.service.DataProxyService",
    "flyteidl.service.IdentityService",
    "flyteidl.service.SignalService",
    "flyteidl.service.AgentMetadataService",
    "flyteidl.cacheservice.CacheService",
    "datacatalog.DataCatalog",
    "flyteform.v1.ClusterService",
    "flyteform.v1.DataPlaneLink",
    "flyteform.v1.EventService",
    "flyteform.v1.LaunchPlanPolicyService",
    "flyteform.v1.LogService",
    "flyteform.v1.StateService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)
# Kubernetes takes no more in one rule of a route everywhere.
_MATCHES: Final = 8


@dataclass(frozen=True, slots=True)
class Routes:
    """The gateway and its routes in a namespace."""

    edge: Edge
    namespace: str
    opts: pulumi.ResourceOptions

    def make(self) -> None:
        """Make them all."""
        if self.edge.issuer:
            self._certificate()
        self._gateway()
        self._redirect()
        self._http()
        if self.edge.grpc_domain:
            self._grpc_host()

    @property
    def _hosts(self) -> list[str]:
        return [self.edge.domain, *([self.edge.grpc_domain] if self.edge.grpc_domain else [])]

    def _certificate(self) -> None:
        spec = {
            "secretName": TLS_SECRET,
            "dnsNames": self._hosts,
            "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": self.edge.issuer},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        }
        self._custom("cert-manager.io/v1", "Certificate", NAME, spec)

    def _gateway(self) -> None:
        listeners: list[dict[str, Any]] = [{"name": "http", "protocol": "HTTP", "port": 80, "allowedRoutes": _SAME}]
        secret = self.edge.certificate_secret or (TLS_SECRET if self.edge.issuer else "")
        tls: dict[str, Any] = {"mode": "Terminate"}
        if secret:
            tls["certificateRefs"] = [{"group": "", "kind": "Secret", "name": secret}]
        for name, host in zip(("https", "grpc"), self._hosts, strict=False):
            protocol = "HTTP" if self.edge.balancer_ends_tls else "HTTPS"
            about = {"name": name, "protocol": protocol, "port": 443, "hostname": host}
            # Without a Secret the cloud's load balancer has the certificate, as its annotations say.
            listeners.append({**about, "allowedRoutes": _SAME, **({"tls": tls} if secret else {})})
        spec: dict[str, Any] = {"gatewayClassName": self.edge.gateway_class, "listeners": listeners}
        address: pulumi.Output[str] = pulumi.Output.from_input(self.edge.address)
        if self.edge.address:
            spec["addresses"] = address.apply(self._addresses)
        if self.edge.service_annotations:
            # From here they get to the gateway's Service, which the cloud makes its balancer of.
            spec["infrastructure"] = {"annotations": dict(self.edge.service_annotations)}
        self._custom(_API, "Gateway", NAME, spec, dict(self.edge.gateway_annotations))

    def _addresses(self, address: str) -> list[dict[str, str]]:
        """Return what the gateway asks for; another stack tells by an empty address that it has none."""
        return [{"type": self.edge.address_type, "value": address}] if address else []

    def _redirect(self) -> None:
        filters = [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "statusCode": 301}}]
        self._route("HTTPRoute", f"{NAME}-redirect", "http", self._hosts, [{"filters": filters}])

    def _http(self) -> None:
        """Route gRPC by its services' paths, everything else to HTTP; streams have no time limit."""
        grpc = [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": f"/{each}"}} for each in services],
                "backendRefs": [{"name": NAME, "port": GRPC}],
                # A cloud's own gateway is told so by a policy of its own.
                **({} if self.edge.is_cloud_gateway else {"timeouts": {"request": "0s", "backendRequest": "0s"}}),
            }
            for services in (SERVICES[at : at + _MATCHES] for at in range(0, len(SERVICES), _MATCHES))
        ]
        http = {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"name": NAME, "port": HTTP}],
        }
        self._route("HTTPRoute", NAME, "https", [self.edge.domain], [*grpc, http])

    def _grpc_host(self) -> None:
        self._route(
            "GRPCRoute",
            f"{NAME}-grpc",
            "grpc",
            [self.edge.grpc_domain],
            [{"backendRefs": [{"name": NAME, "port": GRPC}]}],
        )

    def _route(self, kind: str, name: str, section: str, hosts: list[str], rules: list[dict[str, Any]]) -> None:
        parents = [{"name": NAME, "sectionName": section}]
        self._custom(_API, kind, name, {"parentRefs": parents, "hostnames": hosts, "rules": rules})

    def _custom(
        self, version: str, kind: str, name: str, spec: dict[str, Any], annotations: dict[str, Any] | None = None
    ) -> None:
        CustomResource(
            f"{name}-{kind.lower()}",
            api_version=version,
            kind=kind,
            metadata=metadata(name, self.namespace, COMPONENT, **(annotations or {})),
            spec=spec,
            opts=self.opts,
        )


_SAME: Final = {"namespaces": {"from": "Same"}}
