"""What an installation applies so that the API server asks the webhook. Nobody else may write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform_dataplane.kubernetes.webhook.requests import LABEL, LABEL_VALUE

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.profile import Json

NAME = "flyteform-secrets"
PATH = "/mutate--v1-pod/secrets"
_HOOK = "secrets.flyteform.dev"


def service_client(service: str, namespace: str, port: int = 443) -> Json:
    """Return where a webhook is that is served by a service of the cluster."""
    return {"service": {"name": service, "namespace": namespace, "path": PATH, "port": port}}


def configuration(client: Json, *, certificate: str = "") -> Json:
    """Return the MutatingWebhookConfiguration; pods that ask for no secret never wait for the webhook.

    `client` is where it is, with a `caBundle`, or with the `certificate` (`namespace/name` of a Certificate) from which
    cert-manager is to fill that in.
    """
    annotations = {"cert-manager.io/inject-ca-from": certificate} if certificate else {}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": NAME, "annotations": annotations},
        "webhooks": [
            {
                "name": _HOOK,
                "clientConfig": client,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                # A task that asked for a secret must not run without it.
                "failurePolicy": "Fail",
                "timeoutSeconds": 10,
                "objectSelector": {"matchLabels": {LABEL: LABEL_VALUE}},
                "rules": [
                    {
                        "operations": ["CREATE"],
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "resources": ["pods"],
                        "scope": "Namespaced",
                    }
                ],
            }
        ],
    }
