"""What connectors fail with."""

from __future__ import annotations

from flyteform.errors import UnavailableError
from flyteform_dataplane.errors import DataPlaneError


class ConnectorUnavailableError(UnavailableError):
    """A connector does not answer now."""

    code = "ConnectorUnavailable"


class ConnectorCallError(DataPlaneError):
    """A connector answers that it cannot do it. Whether another attempt may help is `recoverable`."""

    code = "ConnectorError"

    def __init__(self, message: str, *, recoverable: bool) -> None:
        super().__init__(message)
        self.recoverable = recoverable
