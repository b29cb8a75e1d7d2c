"""Where and how clients log in, for those that cannot know it yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.service.auth_pb2 import OAuth2MetadataResponse, PublicClientAuthConfigResponse
from flyteidl.service.auth_pb2_grpc import AuthMetadataServiceServicer

from flyteform_controlplane.domain.principals import ALL_SCOPE

if TYPE_CHECKING:
    from flyteidl.service.auth_pb2 import OAuth2MetadataRequest, PublicClientAuthConfigRequest


@dataclass(frozen=True, slots=True)
class LoginConfig:
    """What clients are told: `url` is our HTTP address; the rest is empty where no login is asked for."""

    url: str
    client_id: str = ""
    audience: str = ""
    metadata_key: str = ""
    token_path: str = ""
    jwks_path: str = ""


class AuthMetadataService(AuthMetadataServiceServicer):
    """Serves the AuthMetadataService, without a token and also where no login is asked for."""

    def __init__(self, login: LoginConfig) -> None:
        self._login = login

    async def GetOAuth2Metadata(self, _request: OAuth2MetadataRequest, _context: object) -> OAuth2MetadataResponse:
        """Return the metadata of RFC 8414: only what is served; where there is no login, the issuer alone."""
        login = self._login
        if not login.token_path:
            return OAuth2MetadataResponse(issuer=login.url)
        return OAuth2MetadataResponse(
            issuer=login.url,
            token_endpoint=login.url + login.token_path,
            jwks_uri=login.url + login.jwks_path,
            scopes_supported=[ALL_SCOPE],
            grant_types_supported=["client_credentials"],
            token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post"],
        )

    async def GetPublicClientConfig(
        self, _request: PublicClientAuthConfigRequest, _context: object
    ) -> PublicClientAuthConfigResponse:
        """Return what a client sends its token as, and what it asks for when it wants one."""
        login = self._login
        return PublicClientAuthConfigResponse(
            client_id=login.client_id,
            scopes=[ALL_SCOPE] if login.token_path else [],
            authorization_metadata_key=login.metadata_key,
            service_http_endpoint=login.url,
            audience=login.audience,
        )
