"""The calls of `flyteform.v1.LaunchPlanPolicyService`: what launch plans can be told beyond FlyteIDL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform.errors import NotFoundError
from flyteform.proto.flyteform.v1 import policies_pb2

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import NamedEntityIdentifier

    from flyteform.client.calls import Caller

_SERVICE = "flyteform.v1.LaunchPlanPolicyService"


@dataclass(frozen=True, slots=True)
class PolicyClient:
    """The policies of one platform. A stock FlyteAdmin has none: `UnsupportedError`."""

    caller: Caller

    async def get(self, name: NamedEntityIdentifier) -> policies_pb2.LaunchPlanPolicy | None:
        """Return the policy of a launch plan, None if it has none."""
        request = policies_pb2.GetLaunchPlanPolicyRequest(id=name)
        response = policies_pb2.GetLaunchPlanPolicyResponse
        try:
            return (await self.caller.call(_SERVICE, "GetLaunchPlanPolicy", request, response)).policy
        except NotFoundError:
            return None

    async def set(self, name: NamedEntityIdentifier, policy: policies_pb2.LaunchPlanPolicy) -> None:
        """Set the policy of a launch plan that has a version, in place of the one before."""
        request = policies_pb2.SetLaunchPlanPolicyRequest(id=name, policy=policy)
        await self.caller.call(_SERVICE, "SetLaunchPlanPolicy", request, policies_pb2.SetLaunchPlanPolicyResponse)

    async def delete(self, name: NamedEntityIdentifier) -> None:
        """Remove the policy of a launch plan; it is no error if there is none."""
        request = policies_pb2.DeleteLaunchPlanPolicyRequest(id=name)
        response = policies_pb2.DeleteLaunchPlanPolicyResponse
        try:
            await self.caller.call(_SERVICE, "DeleteLaunchPlanPolicy", request, response)
        except NotFoundError:
            return
