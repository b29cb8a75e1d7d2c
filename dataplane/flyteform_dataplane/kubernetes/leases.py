"""Keeps an operator on the roster, which all operators of a cluster share in one Lease of Kubernetes.

Clocks of other machines are not believed: a member is gone when its number has not changed for the lease's duration by
our own clock. A member that cannot renew ends its work before anybody else may begin it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from flyteform.errors import AlreadyExistsError, ConflictError, FlyteformError, NotFoundError
from flyteform_dataplane.kubernetes.scopes import Namespaces
from flyteform_dataplane.kubernetes.sharding import LINK, Roster, renewed, surplus, without

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json

logger = logging.getLogger(__name__)

_API_VERSION = "coordination.k8s.io/v1"
_TRIES = 8
# Seconds: what a turn may take that gives up many executions while nobody answers, several times over.
_STUCK = 300.0
ROSTER_ANNOTATION = "flyteform.dev/roster"
NAMESPACES_ANNOTATION = "flyteform.dev/namespaces"


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """A member that is not heard of for `duration` has lost its posts; it gives up by itself after `deadline`."""

    namespace: str
    name: str
    identity: str
    duration: timedelta = timedelta(seconds=15)
    deadline: timedelta = timedelta(seconds=10)
    retry: timedelta = timedelta(seconds=2)


class Work(Protocol):
    """What the holder of posts does."""

    async def assign(self, posts: Mapping[str, int]) -> None:
        """Do the work of these posts, given with their epochs, and of no others; return when that of others ended."""
        ...


class Membership:
    """Takes part in the sharing of the work until `run` is cancelled, which is the graceful hand-over."""

    def __init__(
        self, api: KubernetesApi, settings: LeaseSettings, work: Work, *, namespaces: Namespaces | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`namespaces` that one member has learned of are told to all, and outlast it."""
        self._api = api
        self._settings = settings
        self._work = work
        self._namespaces = namespaces or Namespaces()
        self._clock = clock
        self._collection = f"/apis/{_API_VERSION}/namespaces/{settings.namespace}/leases"
        self._path = f"{self._collection}/{settings.name}"
        self._record: Json = {}
        self._roster = Roster()
        self._begun = False
        # The highest epoch that was seen: where somebody removes the roster, the next ones come after it.
        self._highest = 0
        self._heard: dict[str, tuple[int, float]] = {}
        self._renewed_at = 0.0
        self._assigned: dict[str, int] = {}
        self._turned_at = clock()

    def ailment(self) -> str:
        """Say that it does not come round any more: each turn ends in time, whether the server answers or not."""
        silence = self._clock() - self._turned_at
        return f"the lease was not looked after for {silence:.0f} s" if silence > _STUCK else ""

    def obstacle(self) -> str:
        """Say that it has no part in the work, as it could not say in time that it is there."""
        late = not self._begun or self._clock() - self._renewed_at > self._settings.duration.total_seconds()
        return f"lease {self._settings.namespace}/{self._settings.name} is not renewed" if late else ""

    async def run(self) -> None:
        """Renew, take and give up posts. However this ends, the work has ended first and the posts are free then."""
        try:
            while True:
                self._turned_at = self._clock()
                await self._turn()
                await asyncio.sleep(self._settings.retry.total_seconds())
        finally:
            await self._assign({})
            await self._leave()

    async def _turn(self) -> None:
        if await self._in_time(self._renew(())):
            excess = surplus(self._roster, self._settings.identity)
            held = self._roster.held_by(self._settings.identity)
            await self._assign({name: epoch for name, epoch in held.items() if name not in excess})
            if excess:
                await self._in_time(self._renew(excess))
        elif self._clock() - self._renewed_at > self._settings.deadline.total_seconds():
            if self._assigned:
                logger.warning("%s could not renew its lease and ends its work", self._settings.identity)
            await self._assign({})

    async def _in_time(self, renewing: Coroutine[None, None, bool]) -> bool:
        """Give up early enough: a server that does not answer must not keep a member from ending its work in time."""
        try:
            # Not by wait_for: before Python 3.12 that loses a cancellation which comes as the answer does.
            async with asyncio.timeout(self._settings.deadline.total_seconds() / 2):
                return await renewing
        except TimeoutError:
            logger.warning("lease %s: no answer", self._settings.name)
            return False

    async def _assign(self, posts: dict[str, int]) -> None:
        if posts != self._assigned:
            logger.info("%s works on %s", self._settings.identity, ", ".join(posts) or "nothing")
            # Noted first: what is cut short in the middle of a change has to be ended all the same.
            self._assigned = posts
            await self._work.assign(posts)

    async def _renew(self, given_up: list[str] | tuple[()]) -> bool:
        """Write the next roster; False when that cannot be done now."""
        for _ in range(_TRIES):
            began = self._clock()
            try:
                await self._read(began)
                silent = self._silent(began)
                if silent:
                    logger.warning("%s not heard of any more", ", ".join(silent))
                roster = renewed(
                    self._roster,
                    self._settings.identity,
                    silent=silent,
                    begin=not self._begun,
                    least=max(int(time.time()), self._highest + 1),
                    given_up=given_up,
                )
                await self._write(roster)
            except (ConflictError, AlreadyExistsError):
                continue  # somebody was faster: look at what is there now
            except FlyteformError as error:
                logger.warning("lease %s: %s", self._settings.name, error.message)
                return False
            self._begun, self._renewed_at = True, began
            return True
        return False

    async def _read(self, now: float) -> None:
        try:
            self._record = await self._api.get(self._path)
        except NotFoundError:
            self._record = {}
        annotations = self._record.get("metadata", {}).get("annotations", {})
        self._roster = Roster.load(annotations.get(ROSTER_ANNOTATION, ""))
        self._highest = max(self._highest, *(post.epoch for post in self._roster.posts.values()))
        self._namespaces.learn(annotations.get(NAMESPACES_ANNOTATION, "").split(","))
        for name, beats in self._roster.members.items():
            if self._heard.get(name, (None, 0.0))[0] != beats:
                self._heard[name] = beats, now
        for name in self._heard.keys() - self._roster.members.keys():
            del self._heard[name]

    def _silent(self, now: float) -> list[str]:
        duration = self._settings.duration.total_seconds()
        return [
            name for name, (_, at) in self._heard.items() if now - at > duration and name != self._settings.identity
        ]

    async def _write(self, roster: Roster) -> None:
        moment = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        link = roster.posts[LINK]
        # For people, who look at leases: its holder is the one that speaks with the control plane.
        spec = {
            "holderIdentity": link.holder,
            "leaseDurationSeconds": max(1, round(self._settings.duration.total_seconds())),
            "renewTime": moment,
            "leaseTransitions": link.epoch,
        }
        metadata: Json = {
            "name": self._settings.name,
            "namespace": self._settings.namespace,
            "annotations": {ROSTER_ANNOTATION: roster.dump(), **self._known_namespaces()},
        }
        body: Json = {"apiVersion": _API_VERSION, "kind": "Lease", "metadata": metadata, "spec": spec}
        if not self._record:
            self._record = await self._api.create(self._collection, body)
        else:
            metadata["resourceVersion"] = self._record["metadata"]["resourceVersion"]
            self._record = await self._api.replace(self._path, body)
        self._roster = roster
        self._highest = max(self._highest, *(post.epoch for post in roster.posts.values()))

    def _known_namespaces(self) -> Json:
        names = ",".join(sorted(self._namespaces.names()))
        return {NAMESPACES_ANNOTATION: names} if names else {}

    async def _leave(self) -> None:
        with suppress(FlyteformError):  # what is not given back runs out by itself
            for _ in range(_TRIES):
                with suppress(ConflictError):
                    await self._read(self._clock())
                    if self._record:
                        await self._write(without(self._roster, self._settings.identity))
                    return
