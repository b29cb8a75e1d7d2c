"""What the data plane can fail with."""

from __future__ import annotations

from flyteform.errors import FlyteformError


class DataPlaneError(FlyteformError):
    """Root of the data plane's errors."""

    code = "DataPlane"


class InfrastructureError(DataPlaneError):
    """The platform failed, not the user's code: counted against the system's budget of retries."""

    code = "SystemError"
    retryable = True


class UserError(DataPlaneError):
    """The user's workflow, inputs or code are at fault."""

    code = "UserError"
