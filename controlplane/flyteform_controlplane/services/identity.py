"""Who the caller is."""

from __future__ import annotations

from typing import Final

from flyteidl.service.identity_pb2 import UserInfoRequest, UserInfoResponse
from flyteidl.service.identity_pb2_grpc import IdentityServiceServicer

from flyteform_controlplane.domain.principals import principal_of

_ANONYMOUS: Final = "anonymous"


class IdentityService(IdentityServiceServicer):
    """Serves the IdentityService; where no login is asked for, everybody is the same user."""

    async def UserInfo(self, _request: UserInfoRequest, context: object) -> UserInfoResponse:
        """Return the caller."""
        principal = principal_of(context)
        if principal is None:
            return UserInfoResponse(subject=_ANONYMOUS, name=_ANONYMOUS, preferred_username=_ANONYMOUS)
        return UserInfoResponse(
            subject=principal.subject,
            name=principal.name or principal.subject,
            preferred_username=principal.email or principal.subject,
            given_name=principal.given_name,
            family_name=principal.family_name,
            email=principal.email,
            picture=principal.picture,
        )
