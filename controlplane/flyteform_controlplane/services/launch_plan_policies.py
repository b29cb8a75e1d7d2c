"""Policies of launch plans, beside FlyteIDL."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from flyteidl.core.identifier_pb2 import ResourceType

from flyteform.proto.flyteform.v1 import policies_pb2
from flyteform.proto.flyteform.v1.policies_pb2_grpc import LaunchPlanPolicyServiceServicer
from flyteform_controlplane.domain.concurrency import Behavior, LaunchPlanName, PolicyRecord
from flyteform_controlplane.domain.records import Record
from flyteform_controlplane.domain.schedules import CatchUpRecord
from flyteform_controlplane.domain.validation import check_scope, require
from flyteform_controlplane.errors import InvalidArgumentError, MissingEntityError

if TYPE_CHECKING:
    from flyteidl.admin.common_pb2 import NamedEntityIdentifier
    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.services.backend import Backend
    from flyteform_controlplane.services.ending import Ending
    from flyteform_controlplane.store.ports import Rows

R = TypeVar("R", bound=Record)

_PREFIX = "CONCURRENCY_BEHAVIOR_"
_MOST_CAUGHT_UP = 1000  # executions that one schedule may start at once after a standstill


class LaunchPlanPolicyService(LaunchPlanPolicyServiceServicer):
    """Serves `flyteform.v1.LaunchPlanPolicyService`."""

    def __init__(self, backend: Backend, ending: Ending) -> None:
        self._backend = backend
        self._ending = ending

    async def SetLaunchPlanPolicy(
        self, request: policies_pb2.SetLaunchPlanPolicyRequest, _context: object
    ) -> policies_pb2.SetLaunchPlanPolicyResponse:
        """Set the policies of a launch plan that has a version; those that wait may start by it."""
        name = _name(request.id)
        policy = request.policy
        require(policy.HasField("concurrency") or policy.HasField("catch_up"), "policy.concurrency or policy.catch_up")
        concurrency = _record(name, policy.concurrency) if policy.HasField("concurrency") else None
        catch_up = _catch_up(name, policy.catch_up) if policy.HasField("catch_up") else None
        async with self._backend.database.transaction() as tx:
            await self._backend.check_project(tx, name)
            kind = ResourceType.LAUNCH_PLAN
            if not await self._backend.store.names.exists(tx, kind, name.project, name.domain, name.name):
                raise MissingEntityError(
                    f"missing entity of type LAUNCH_PLAN with identifier {name.project}:{name.domain}:{name.name}",
                    remedy="register the launch plan first",
                )
            await _set(tx, self._backend.store.policies, name, concurrency)
            await _set(tx, self._backend.store.catch_ups, name, catch_up)
        await self._ending.settle(name)
        return policies_pb2.SetLaunchPlanPolicyResponse()

    async def GetLaunchPlanPolicy(
        self, request: policies_pb2.GetLaunchPlanPolicyRequest, _context: object
    ) -> policies_pb2.GetLaunchPlanPolicyResponse:
        """Return what was set."""
        name = _name(request.id)
        key = (name.project, name.domain, name.name)
        async with self._backend.database.reading() as tx:
            record = await self._backend.store.policies.get(tx, *key)
            catch_up = await self._backend.store.catch_ups.get(tx, *key)
        if record is None and catch_up is None:
            raise _missing(name)
        policy = policies_pb2.LaunchPlanPolicy()
        if record is not None:
            policy.concurrency.max = record.max
            policy.concurrency.behavior = policies_pb2.ConcurrencyBehavior.Value(_PREFIX + record.behavior)
        if catch_up is not None:
            # None made up for is said too.
            policy.catch_up.SetInParent()
            policy.catch_up.max = catch_up.max
        return policies_pb2.GetLaunchPlanPolicyResponse(policy=policy)

    async def DeleteLaunchPlanPolicy(
        self, request: policies_pb2.DeleteLaunchPlanPolicyRequest, _context: object
    ) -> policies_pb2.DeleteLaunchPlanPolicyResponse:
        """Remove what was set; everything that waits starts."""
        name = _name(request.id)
        key = (name.project, name.domain, name.name)
        async with self._backend.database.transaction() as tx:
            limited = await self._backend.store.policies.delete(tx, *key)
            catches_up = await self._backend.store.catch_ups.delete(tx, *key)
            if not limited and not catches_up:
                raise _missing(name)
        await self._ending.settle(name)
        return policies_pb2.DeleteLaunchPlanPolicyResponse()


async def _set(tx: AsyncConnection, rows: Rows[R], name: LaunchPlanName, wanted: R | None) -> None:
    """Write what is wanted for the launch plan in place of what was set; None: nothing."""
    known = await rows.get(tx, name.project, name.domain, name.name)
    if wanted is None:
        await rows.delete(tx, name.project, name.domain, name.name)
    elif known is None:
        await rows.add(tx, wanted)
    else:
        await rows.save_many(tx, [replace(wanted, id=known.id, created_at=known.created_at)])


def _name(identifier: NamedEntityIdentifier) -> LaunchPlanName:
    check_scope(identifier)
    require(identifier.name, "name")
    return LaunchPlanName(identifier.project, identifier.domain, identifier.name)


def _record(name: LaunchPlanName, policy: policies_pb2.ConcurrencyPolicy) -> PolicyRecord:
    if policy.max < 1:
        raise InvalidArgumentError("invalid value for concurrency.max", remedy="allow at least 1 execution")
    if policy.behavior not in policies_pb2.ConcurrencyBehavior.values() or not policy.behavior:
        raise InvalidArgumentError(
            "invalid value for concurrency.behavior",
            remedy=f"use one of {', '.join(behavior for behavior in Behavior)}",
        )
    behavior = Behavior(policies_pb2.ConcurrencyBehavior.Name(policy.behavior).removeprefix(_PREFIX))
    return PolicyRecord(project=name.project, domain=name.domain, name=name.name, max=policy.max, behavior=behavior)


def _catch_up(name: LaunchPlanName, policy: policies_pb2.CatchUpPolicy) -> CatchUpRecord:
    if policy.max > _MOST_CAUGHT_UP:
        raise InvalidArgumentError("invalid value for catch_up.max", remedy=f"use at most {_MOST_CAUGHT_UP}")
    return CatchUpRecord(project=name.project, domain=name.domain, name=name.name, max=policy.max)


def _missing(name: LaunchPlanName) -> MissingEntityError:
    return MissingEntityError(f"no policy is set for launch plan {name.project}:{name.domain}:{name.name}")
