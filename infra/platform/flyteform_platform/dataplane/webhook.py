"""The webhook that gives pods the secrets that their tasks ask for: its certificate comes from cert-manager.

Nothing in the cluster may write the webhook's configuration: cert-manager fills in the authority that it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pulumi_kubernetes.admissionregistration import v1 as admission
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta import v1 as meta

import pulumi
from flyteform_dataplane.kubernetes.webhook.manifest import configuration, service_client
from flyteform_platform.dataplane.names import PRIORITY, WEBHOOK
from flyteform_platform.parts.deployments import budget, deployment, metadata
from flyteform_platform.parts.labels import labels, selector
from flyteform_platform.parts.networks import Allowed, allow
from flyteform_platform.parts.pods import Mount, Pods, asking, secret_volume

if TYPE_CHECKING:
    from flyteform_platform.config import PlatformConfig
    from flyteform_platform.foundation import Foundation

_COMPONENT: Final = "webhook"
_PORT: Final = 9443
_CERTIFICATE: Final = "/etc/flyteform/certificate"
_ISSUER: Final = "cert-manager.io/v1"


@dataclass(frozen=True, slots=True)
class SecretsWebhook:
    """Two replicas, as no pod that asks for a secret starts without one of them."""

    config: PlatformConfig
    foundation: Foundation
    opts: pulumi.ResourceOptions

    def make(self) -> None:
        """Make it."""
        namespace = self.config.data_plane.namespace
        certificate = self._certificate(namespace)
        core.ServiceAccount(
            WEBHOOK,
            metadata=metadata(WEBHOOK, namespace, _COMPONENT),
            automount_service_account_token=False,
            opts=self.opts,
        )
        # The API server calls from an address of its own, which no label names.
        allow(namespace, _COMPONENT, self.opts, ingress=[Allowed((_PORT,), cidrs=("0.0.0.0/0",))])
        core.Service(
            WEBHOOK,
            metadata=metadata(WEBHOOK, namespace, _COMPONENT),
            spec=core.ServiceSpecArgs(
                selector=selector(_COMPONENT), ports=[core.ServicePortArgs(name="https", port=443, target_port="https")]
            ),
            opts=self.opts,
        )
        after = pulumi.ResourceOptions.merge(self.opts, pulumi.ResourceOptions(depends_on=[certificate]))
        serving = deployment(WEBHOOK, namespace, self._pods(), after, replicas=2)
        budget(WEBHOOK, namespace, _COMPONENT, self.opts)
        self._configuration(namespace, serving)

    def _certificate(self, namespace: str) -> CustomResource:
        issuer = CustomResource(
            f"{WEBHOOK}-issuer",
            api_version=_ISSUER,
            kind="Issuer",
            metadata=metadata(WEBHOOK, namespace, _COMPONENT),
            spec={"selfSigned": {}},
            opts=self.opts,
        )
        return CustomResource(
            f"{WEBHOOK}-certificate",
            api_version=_ISSUER,
            kind="Certificate",
            metadata=metadata(WEBHOOK, namespace, _COMPONENT),
            spec={
                "secretName": f"{WEBHOOK}-tls",
                "dnsNames": [f"{WEBHOOK}.{namespace}.svc", f"{WEBHOOK}.{namespace}.svc.cluster.local"],
                "issuerRef": {"group": "cert-manager.io", "kind": "Issuer", "name": WEBHOOK},
                "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            },
            opts=pulumi.ResourceOptions.merge(self.opts, pulumi.ResourceOptions(depends_on=[issuer])),
        )

    def _pods(self) -> Pods:
        plane = self.config.data_plane
        return Pods(
            component=_COMPONENT,
            image=plane.image,
            pull_policy=plane.pull_policy,
            command=(
                "-m",
                "flyteform_dataplane.kubernetes.webhook",
                "--port",
                str(_PORT),
                "--certificate",
                f"{_CERTIFICATE}/tls.crt",
                "--key",
                f"{_CERTIFICATE}/tls.key",
            ),
            account=WEBHOOK,
            resources=plane.resources,
            nodes=self.foundation.profile.system,
            zone_label=self.foundation.profile.zone_label,
            ports={"https": _PORT},
            mounts=(Mount(_CERTIFICATE, secret_volume("certificate", f"{WEBHOOK}-tls")),),
            probes=asking("/healthz", "https", scheme="HTTPS"),
            # The API server must not ask one that is gone: no pod that wants a secret would be made.
            drain_seconds=5,
            priority=PRIORITY,
        )

    def _configuration(self, namespace: str, serving: pulumi.Resource) -> None:
        document = configuration(service_client(WEBHOOK, namespace), certificate=f"{namespace}/{WEBHOOK}")
        about = document["metadata"]
        admission.MutatingWebhookConfiguration(
            WEBHOOK,
            metadata=meta.ObjectMetaArgs(
                name=about["name"], labels=labels(_COMPONENT), annotations=about["annotations"]
            ),
            webhooks=document["webhooks"],
            opts=pulumi.ResourceOptions.merge(
                self.opts,
                pulumi.ResourceOptions(
                    depends_on=[serving],
                    # cert-manager fills it in.
                    ignore_changes=["webhooks[0].clientConfig.caBundle"],
                ),
            ),
        )
