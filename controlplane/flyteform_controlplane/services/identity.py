"""Who the caller is."""

from __future__ import annotations

from typing import Final

from flyteidl.service.identity_pb2 import UserInfoRequest, UserInfoResponse
from flyteidl.service.identity_pb2_grpc import IdentityServiceServicer

_ANONYMOUS: Final = "anonymous"


class IdentityService(IdentityServiceServicer):
    """Serves the IdentityService; while there is no login, everybody is the same user."""

    async def UserInfo(self, _request: UserInfoRequest, _context: object) -> UserInfoResponse:
        """Return the caller."""
        return UserInfoResponse(subject=_ANONYMOUS, name=_ANONYMOUS, preferred_username=_ANONYMOUS)
