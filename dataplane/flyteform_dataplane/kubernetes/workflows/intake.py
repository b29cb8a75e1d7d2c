"""What the control plane wants of executions, written where whoever has them finds it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyteform.errors import NotFoundError
from flyteform_dataplane.kubernetes.workflows.log import Standing
from flyteform_dataplane.kubernetes.workflows.resources import (
    ABORT_ANNOTATION,
    REVOKE_ANNOTATION,
    identifier_of,
    key_in,
    path_of,
    place_of,
)
from flyteform_dataplane.runner.context import key_of
from flyteform_dataplane.runner.log import LoggedExecution

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform.proto.flyteform.v1.link_pb2 import Lease
    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json
    from flyteform_dataplane.kubernetes.scopes import Informers, Namespaces
    from flyteform_dataplane.kubernetes.workflows.log import WorkflowLog
    from flyteform_dataplane.runner import Runner

logger = logging.getLogger(__name__)


class Intake:
    """Takes leases, aborts and revocations. Their executions may be any operator's; those that are here go a short way.

    `mine` says whether an execution is of this operator's shards. `workflows` knows the unfinished resources.
    """

    def __init__(
        self,
        api: KubernetesApi,
        log: WorkflowLog,
        runner: Runner,
        workflows: Informers,
        namespaces: Namespaces,
        mine: Callable[[str], bool],
    ) -> None:
        self._api = api
        self._log = log
        self._runner = runner
        self._workflows = workflows
        self._namespaces = namespaces
        self._mine = mine
        self._arriving: set[str] = set()
        self._unseen: set[str] = set()
        self._told: Callable[[WorkflowExecutionIdentifier], Awaitable[None]] | None = None

    def on_finished(self, observe: Callable[[WorkflowExecutionIdentifier], Awaitable[None]]) -> None:
        """Call `observe` with each execution of which a lease comes though it is over."""
        self._told = observe

    async def accept(self, lease: Lease) -> None:
        """Take an execution over; it is durable when this returns. One that is held already stays as it is."""
        key = key_of(lease.id)
        known = self._workflows.get(*place_of(key))
        if known is not None and key_in(known) == key and not leaving(known):
            return
        self._arriving.add(key)
        try:
            await self._begin(key, lease)
        finally:
            self._arriving.discard(key)

    def arriving(self, key: str) -> bool:
        """Say whether an execution is just being taken over here: nobody else need look after it."""
        return key in self._arriving

    async def _begin(self, key: str, lease: Lease) -> None:
        at, content = datetime.now(UTC).timestamp(), lease.SerializeToString()
        standing = await self._log.begin(lease, content, at)
        self._namespaces.learn([place_of(key)[0]])
        if standing is Standing.FINISHED and self._told is not None:
            await self._told(lease.id)
        elif standing in (Standing.BEGUN, Standing.BEGUN_AGAIN):
            self._unseen.add(key)
            if self._mine(key):
                first = standing is Standing.BEGUN
                await self._runner.adopt(LoggedExecution(key, content, at, 0, None, (), new=True, first=first))

    async def abort(self, execution: WorkflowExecutionIdentifier, cause: str) -> None:
        """End an execution; nothing happens if there is none."""
        if self._runner.holds(execution):
            await self._runner.abort(execution, cause)
        else:
            await self._mark(key_of(execution), {ABORT_ANNOTATION: cause})

    async def revoke(self, execution: WorkflowExecutionIdentifier) -> None:
        """Stop an execution and forget it; nothing happens if there is none."""
        key = key_of(execution)
        self._unseen.discard(key)
        if self._mine(key):
            await self._runner.revoke(execution)
        elif await self._mark(key, {REVOKE_ANNOTATION: "true"}):
            await self._api.delete(path_of(key))

    def held(self) -> list[WorkflowExecutionIdentifier]:
        """Return the executions of all operators of the cluster that were accepted and have not ended."""
        seen = {key_in(item) for item in self._workflows.objects() if not leaving(item)}
        return [identifier_of(key) for key in seen | self._unseen if key]

    def seen(self, key: str) -> None:
        """Note that the resource of an execution is known by its watch."""
        self._unseen.discard(key)

    async def _mark(self, key: str, annotations: dict[str, str]) -> bool:
        try:
            await self._api.patch(path_of(key), {"metadata": {"annotations": annotations}})
        except NotFoundError:
            logger.info("%s is not here", key)
            return False
        return True


def leaving(resource: Json) -> bool:
    """Say whether an execution was revoked, and is here only until that is done."""
    return REVOKE_ANNOTATION in resource["metadata"].get("annotations", {})
