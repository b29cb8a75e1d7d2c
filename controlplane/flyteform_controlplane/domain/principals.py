"""Who calls, and which methods that allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flyteform_controlplane.errors import PermissionDeniedError

ALL_SCOPE: Final = "all"  # Flyte's one scope: everything
DATA_PLANE_SCOPE: Final = "dataplane"
# The metadata by which data planes name their clusters; a token goes before it.
CLUSTER_METADATA: Final = "flyteform-cluster"

# Clients ask these before they can have a token.
OPEN_METHODS: Final = frozenset(
    {
        "/flyteidl.service.AuthMetadataService/GetOAuth2Metadata",
        "/flyteidl.service.AuthMetadataService/GetPublicClientConfig",
        # Shows a token of its own kind.
        "/flyteform.v1.ClusterService/RedeemBootstrapToken",
    }
)
_LINK: Final = "/flyteform.v1.DataPlaneLink/"
_USER_INFO: Final = "/flyteidl.service.IdentityService/"
# What a data plane needs to run what it was leased, and no more.
_DATA_PLANE_SERVICES: Final = (
    _LINK,
    _USER_INFO,
    "/flyteform.v1.EventService/",
    "/datacatalog.DataCatalog/",
    "/flyteidl.cacheservice.CacheService/",
)
_DATA_PLANE: Final = (
    "/flyteidl.service.AdminService/CreateWorkflowEvent",
    "/flyteidl.service.AdminService/CreateNodeEvent",
    "/flyteidl.service.AdminService/CreateTaskEvent",
    # Child executions and signals; of which executions it may ask is looked at where these are known.
    "/flyteidl.service.AdminService/CreateExecution",
    "/flyteidl.service.AdminService/RecoverExecution",
    "/flyteidl.service.AdminService/GetExecution",
    "/flyteidl.service.AdminService/GetExecutionData",
    "/flyteidl.service.AdminService/TerminateExecution",
    "/flyteidl.service.AdminService/ListNodeExecutions",
    "/flyteidl.service.AdminService/GetLaunchPlan",
    "/flyteidl.service.SignalService/GetOrCreateSignal",
)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose token was verified; `cluster` is set for a data plane, `expires_at` is in Unix seconds."""

    subject: str
    scopes: frozenset[str]
    expires_at: float
    cluster: str = ""
    name: str = ""
    given_name: str = ""
    family_name: str = ""
    email: str = ""
    picture: str = ""


def principal_of(context: object) -> Principal | None:
    """Return the caller of a call, None where the control plane asks for no login."""
    found = getattr(context, "principal", None)
    return found if isinstance(found, Principal) else None


def cluster_of(context: object) -> str:
    """Return the cluster whose data plane calls, "" for anybody else; without a login it is what the caller says."""
    principal = principal_of(context)
    if principal is not None:
        return principal.cluster
    metadata = getattr(context, "metadata", None)
    return str(metadata.get(CLUSTER_METADATA, "")) if metadata is not None else ""


def check_method(principal: Principal, method: str) -> None:
    """Refuse a method that the caller may not call; `method` is `/package.Service/Method`."""
    if principal.cluster:
        if method not in _DATA_PLANE and not method.startswith(_DATA_PLANE_SERVICES):
            raise PermissionDeniedError(f"the data plane of cluster {principal.cluster!r} may not call {method}")
        return
    if method.startswith(_LINK):
        raise PermissionDeniedError(
            f"only the token of a data plane opens a link, and that of {principal.subject} is none"
        )
    if ALL_SCOPE not in principal.scopes and not method.startswith(_USER_INFO):
        raise PermissionDeniedError(f"the token of {principal.subject} lacks the scope {ALL_SCOPE!r}")


def check_cluster_name(principal: Principal, cluster: str) -> None:
    """Refuse a data plane that names another cluster than its token does."""
    if principal.cluster != cluster:
        raise PermissionDeniedError(f"the token is for cluster {principal.cluster!r}, not for {cluster!r}")
