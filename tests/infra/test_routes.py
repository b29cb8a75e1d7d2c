"""Routes of gRPC name every service that the control plane serves."""

from __future__ import annotations

import re

from flyteform_platform.controlplane.routes import SERVICES
from support.recording.stacks import ROOT

_PACKAGES = {
    "datacatalog": "datacatalog",
    "cacheservice": "flyteidl.cacheservice",
    **dict.fromkeys(("admin", "agent", "auth", "dataproxy", "identity", "signal"), "flyteidl.service"),
}


def test_every_service_has_a_route() -> None:
    """A service that is served and not named would get the answers of HTTP."""
    parts = (ROOT / "controlplane" / "flyteform_controlplane" / "parts.py").read_text()
    found = re.findall(r"_service\(\s*(\w+)_pb2\.DESCRIPTOR,\s*\"(\w+)\"", parts)
    assert len(found) > 10
    assert {f"{_PACKAGES.get(module, 'flyteform.v1')}.{name}" for module, name in found} <= set(SERVICES)
