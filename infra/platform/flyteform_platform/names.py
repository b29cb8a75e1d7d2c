"""Names that clouds bind identities to, and components give to what they make: said once, used by both."""

from __future__ import annotations

from typing import Final

# Service accounts in the namespaces of the configuration.
CONTROL_PLANE: Final = "flyteform-controlplane"
DATA_PLANE: Final = "flyteform-dataplane"
# Tasks run as this service account of the namespace `<project>-<domain>`, unless a launch plan names another.
WORKLOAD: Final = "default"

# Namespaces and service accounts of the add-ons whose pods have an identity in the cloud.
EXTERNAL_SECRETS: Final = "external-secrets"
CERT_MANAGER: Final = "cert-manager"
MONITORING: Final = "monitoring"
