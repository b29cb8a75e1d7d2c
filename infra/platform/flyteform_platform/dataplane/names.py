"""Names of the data plane, which the control plane's policies and trust refer to."""

from __future__ import annotations

from typing import Final

NAME: Final = "flyteform-dataplane"
COMPONENT: Final = "dataplane"
ACCOUNT: Final = "flyteform-dataplane"
WEBHOOK: Final = "flyteform-webhook"
PRIORITY: Final = "flyteform-dataplane"
OBJECTS_SECRET: Final = "flyteform-objects"  # noqa: S105 - a name
# Tasks run as this service account of the namespace `<project>-<domain>`, unless a launch plan names another.
WORKLOAD: Final = "default"
POD_TEMPLATE: Final = "flyteform"
