"""Looks after the executions of an operator's shards: begins, ends and gives up what the resources say."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError, NotFoundError
from flyteform_dataplane.kubernetes.queues import WorkQueue
from flyteform_dataplane.kubernetes.scopes import Informers
from flyteform_dataplane.kubernetes.sharding import LINK, shard_of
from flyteform_dataplane.kubernetes.workflows.intake import Intake, leaving
from flyteform_dataplane.kubernetes.workflows.resources import (
    ABORT_ANNOTATION,
    COLLECTION,
    KEY_ANNOTATION,
    REVOKE_ANNOTATION,
    UNFINISHED,
    identifier_of,
    key_in,
    place_of,
)
from flyteform_dataplane.runner.context import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.core.identifier_pb2 import WorkflowExecutionIdentifier

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json
    from flyteform_dataplane.kubernetes.scopes import Namespaces
    from flyteform_dataplane.kubernetes.workflows.log import WorkflowLog
    from flyteform_dataplane.link import LinkClient
    from flyteform_dataplane.runner import Runner

logger = logging.getLogger(__name__)

_KEPT = frozenset({KEY_ANNOTATION, ABORT_ANNOTATION, REVOKE_ANNOTATION})
_DELETED = "its FlyteWorkflow was deleted"


class Shards:
    """The work of one operator, for as long as it has posts. What the resources say is all that it knows of others.

    `held` has the shards that are this operator's, with their epochs; the log reads it with every write. `namespaces`
    are where executions are, and where this one learns that they are.
    """

    def __init__(self, api: KubernetesApi, log: WorkflowLog, held: dict[int, int], namespaces: Namespaces) -> None:
        self._log = log
        self._held = held
        self._api = api
        self._namespaces = namespaces
        self._workflows = Informers(
            api, COLLECTION, self._seen, namespaces, selector=UNFINISHED, metadata_only=True, keep=_trimmed
        )
        self._queue = WorkQueue(self._look_after)
        self._aborted: set[str] = set()
        self._ended: set[str] = set()
        self._runner: Runner
        self._intake: Intake
        self._link: LinkClient | None = None
        self._linked = False
        self._telling: set[asyncio.Task[None]] = set()

    def intake(self, runner: Runner) -> Intake:
        """Return what takes the leases of the link, for this runner."""
        self._runner = runner
        runner.on_finished(self._finished)
        self._intake = Intake(self._api, self._log, runner, self._workflows, self._namespaces, self._is_mine)
        return self._intake

    async def open(self, link: LinkClient) -> None:
        """Begin to watch; returns when all resources that there are have been seen."""
        self._link = link
        self._intake.on_finished(link.finished)
        self._workflows.start()
        await self._workflows.synced()

    async def close(self) -> None:
        """Watch no more."""
        await self._workflows.stop()
        await self._queue.close()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def ailment(self) -> str:
        """Say that nothing is heard any more of the resources, if that is so."""
        return self._workflows.ailment()

    def obstacle(self) -> str:
        """Say that the control plane is out of reach, if this is the operator that speaks with it."""
        if self._linked and self._link is not None and not self._link.is_connected:
            return "there is no link to the control plane"
        return ""

    async def assign(self, posts: Mapping[str, int]) -> None:
        """Work on these shards, and hold the link if it is among the posts."""
        shards = {int(name): epoch for name, epoch in posts.items() if name != LINK}
        changed = {shard for shard, epoch in self._held.items() if shards.get(shard) != epoch}
        gained = {shard for shard, epoch in shards.items() if self._held.get(shard) != epoch}
        # First of all: from here on nothing of what is given up is written any more.
        self._held.clear()
        self._held.update({shard: epoch for shard, epoch in shards.items() if shard not in gained})
        await self._connect(wanted=LINK in posts)
        given_up = [each for each in self._runner.held() if shard_of(key_of(each)) in changed]
        await asyncio.gather(*(self._runner.release(each) for each in given_up))
        self._held.update(shards)
        for key in filter(None, map(key_in, self._workflows.objects())):
            if shard_of(key) in gained:
                self._queue.add(key)

    async def _connect(self, *, wanted: bool) -> None:
        if self._link is None or wanted is self._linked:
            return
        self._linked = wanted
        if wanted:
            self._link.start()
        else:
            await self._link.stop()

    def _is_mine(self, key: str) -> bool:
        return shard_of(key) in self._held

    def _seen(self, item: Json, there: bool) -> None:
        key = key_in(item)
        if not key:
            return
        self._intake.seen(key)
        if not there and key in self._ended:
            self._ended.discard(key)
            self._aborted.discard(key)
            self._tell(key)
        elif not there or self._needs_care(key, item):
            # What the watch says last of one that is gone is how it was before: somebody has to ask.
            self._queue.add(key)

    def _needs_care(self, key: str, item: Json) -> bool:
        """Say whether a change is more than the progress of an execution that is here, or somebody else's affair."""
        if not self._is_mine(key) or self._intake.arriving(key) or key in self._ended:
            return False
        metadata = item["metadata"]
        return (
            not self._runner.holds(identifier_of(key))
            or "deletionTimestamp" in metadata
            or ABORT_ANNOTATION in metadata.get("annotations", {})
        )

    async def _look_after(self, key: str) -> None:
        item = self._workflows.get(*place_of(key))
        if item is None or key_in(item) != key:
            await self._look_for(key)
        elif self._is_mine(key):
            await self._go_on(key, item)

    async def _go_on(self, key: str, item: Json) -> None:
        execution, metadata = identifier_of(key), item["metadata"]
        if leaving(item):
            await self._runner.revoke(execution)
            return
        if not self._runner.holds(execution):
            try:
                logged = await self._log.load(key)
            except NotFoundError as error:
                if "deletionTimestamp" not in metadata and ABORT_ANNOTATION not in metadata["annotations"]:
                    raise FlyteformError(f"{key} cannot go on: {error.message}") from error
                logger.warning("%s is removed, as nobody can go on with it: %s", key, error.message)
                await self._log.remove(key)
                return
            if logged is None:
                return
            await self._runner.adopt(logged)
        cause = metadata.get("annotations", {}).get(ABORT_ANNOTATION, "")
        if "deletionTimestamp" in metadata:
            cause = cause or _DELETED
        if cause and key not in self._aborted:
            self._aborted.add(key)
            await self._runner.abort(execution, cause)

    async def _look_for(self, key: str) -> None:
        """Find out what became of an execution whose resource the watch does not show any more."""
        if self._log.finishing(key):
            return  # by our own hand, and told when that is done
        if await self._log.finished(key):
            self._tell(key)
        elif self._is_mine(key) and self._runner.holds(identifier_of(key)):
            logger.warning("the FlyteWorkflow of %s is gone, so it ends without a word", key)
            await self._runner.revoke(identifier_of(key))
        self._aborted.discard(key)

    async def _finished(self, execution: WorkflowExecutionIdentifier) -> None:
        """Note what has ended here: its last changes may still be on their way, or may all have come."""
        key = key_of(execution)
        if self._workflows.get(*place_of(key)) is not None:
            self._ended.add(key)
        else:
            self._tell(key)

    def _tell(self, key: str) -> None:
        """Have the control plane forget the lease of an execution that is over."""
        if self._linked and self._link is not None:
            task = asyncio.ensure_future(self._link.finished(identifier_of(key)))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)


def _trimmed(item: Json) -> Json:
    """Return what has to be known of a resource: there may be many thousands."""
    metadata = item["metadata"]
    kept = {name: metadata[name] for name in ("namespace", "name", "resourceVersion")}
    annotations = metadata.get("annotations") or {}
    kept["annotations"] = {name: value for name, value in annotations.items() if name in _KEPT}
    if "deletionTimestamp" in metadata:
        kept["deletionTimestamp"] = metadata["deletionTimestamp"]
    return {"metadata": kept}
