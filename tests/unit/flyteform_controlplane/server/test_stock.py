"""A control plane that serves what a stock FlyteAdmin serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from flyteidl.admin import common_pb2, version_pb2

from flyteform.client.calls import Caller
from flyteform.client.channel import open_channel
from flyteform.client.errors import UnsupportedError
from flyteform.proto.flyteform.v1 import events_pb2, policies_pb2
from support.control_plane import control_plane

if TYPE_CHECKING:
    from pathlib import Path


async def test_flyteform_v1_is_off_in_stock_mode(tmp_path: Path) -> None:
    """Every call of our own services is UNIMPLEMENTED, FlyteAdmin's are served."""
    name = common_pb2.NamedEntityIdentifier(project="flytesnacks", domain="development", name="nightly")
    async with control_plane(tmp_path, stock=True) as client:
        channel = await open_channel(client.config)
        caller = Caller(channel, client.config.endpoint)
        with pytest.raises(UnsupportedError):
            await caller.call(
                "flyteform.v1.LaunchPlanPolicyService",
                "GetLaunchPlanPolicy",
                policies_pb2.GetLaunchPlanPolicyRequest(id=name),
                policies_pb2.GetLaunchPlanPolicyResponse,
            )
        with pytest.raises(UnsupportedError):
            await caller.call(
                "flyteform.v1.EventService",
                "ReportEvents",
                events_pb2.ReportEventsRequest(),
                events_pb2.ReportEventsResponse,
            )
        served = await caller.call(
            "flyteidl.service.AdminService",
            "GetVersion",
            version_pb2.GetVersionRequest(),
            version_pb2.GetVersionResponse,
        )
        assert served.HasField("control_plane_version")
        await channel.close()
