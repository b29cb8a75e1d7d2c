"""Which control plane this is."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from flyteidl.admin.version_pb2 import GetVersionRequest, GetVersionResponse, Version

# Clients compare this with Flyte's releases to know what the server can do; our own version is the build.
CONTRACT_VERSION: Final = "v1.16.8"


class Versions:
    """The AdminService's method about versions."""

    async def GetVersion(self, _request: GetVersionRequest, _context: object) -> GetVersionResponse:
        """Return the release of Flyte whose contract is served, and as build our own version."""
        build = f"flyteform-{version('flyteform')}"
        return GetVersionResponse(control_plane_version=Version(Build=build, Version=CONTRACT_VERSION))
