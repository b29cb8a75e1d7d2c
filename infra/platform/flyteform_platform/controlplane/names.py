"""Names and ports of the control plane, which data planes and routes refer to."""

from __future__ import annotations

from typing import Final

NAME: Final = "flyteform"
COMPONENT: Final = "controlplane"
ACCOUNT: Final = "flyteform-controlplane"
# The job of a release reaches the same databases, so this account has the control plane's identity too.
RELEASE_ACCOUNT: Final = "flyteform-release"
RELEASE: Final = "release"
GRPC: Final = 8089
HTTP: Final = 8088
LOGIN_SECRET: Final = "flyteform-login"  # noqa: S105 - a name
OBJECTS_SECRET: Final = "flyteform-objects"  # noqa: S105 - a name
TLS_SECRET: Final = "flyteform-tls"  # noqa: S105 - a name
PRIORITY: Final = "flyteform-controlplane"
STATE: Final = "/var/lib/flyteform"


def service_host(namespace: str) -> str:
    """Return the name under which pods of the cluster reach the control plane."""
    return f"{NAME}.{namespace}.svc.cluster.local"
