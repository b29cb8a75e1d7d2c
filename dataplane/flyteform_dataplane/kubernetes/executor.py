"""Runs attempts as pods: created once by their names, watched until they end, deleted when they are told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar, assert_never

from flyteform.errors import FlyteformError, NotFoundError
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.health import ended
from flyteform_dataplane.kubernetes.attempts import PodAttempt
from flyteform_dataplane.kubernetes.copying import EXIT_ANNOTATION
from flyteform_dataplane.kubernetes.loglinks import log_links
from flyteform_dataplane.kubernetes.making import PodMaker, attempt_of, is_of
from flyteform_dataplane.kubernetes.names import label_value, namespace_of
from flyteform_dataplane.kubernetes.pods import EXECUTION_LABEL, MANAGED_LABEL, MANAGER
from flyteform_dataplane.kubernetes.podtemplates import PodTemplates
from flyteform_dataplane.kubernetes.refusals import failure_of
from flyteform_dataplane.kubernetes.rooms import Rooms
from flyteform_dataplane.kubernetes.scopes import Informers, Namespaces
from flyteform_dataplane.kubernetes.states import Copying, Ended, Failed, Running, Waiting, state_of
from flyteform_dataplane.kubernetes.trimming import TrimmedPods, trimmed_pod
from flyteform_dataplane.ports import AttemptPhase, AttemptUpdate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json, PodProfile
    from flyteform_dataplane.ports import PodRequest

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
_LET_GO_AFTER = 60.0  # seconds
_SWEEP_PAUSE = 60.0  # seconds
_REMEMBERED = 4096  # ends that a repeated start is told, when the pod may be gone
_PAGE = "500"
_AT_ONCE = 500  # attempts that are stopped together
_CALM = timedelta(minutes=1)  # between two reasons for one phase
_NUMBERS = re.compile(r"\d+")
_GONE = Failure("ResourceDeletedExternally", "somebody deleted the pod", FailureKind.SYSTEM, recoverable=True)


class PodExecutor:
    """The pods of one cluster. What it has to know after a crash is in the cluster itself.

    `namespaces` are where its pods may be, everywhere if it is not given. `owner` gives the unique id of an
    execution's resource by its key, empty where that is not known.
    """

    def __init__(
        self,
        api: KubernetesApi,
        profile: PodProfile,
        *,
        namespaces: Namespaces | None = None,
        owner: Callable[[str], str] = lambda _: "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._api = api
        self._profile = profile
        self._now = now
        self._attempts: dict[str, PodAttempt] = {}
        self._ended: OrderedDict[str, AttemptUpdate] = OrderedDict()
        self._aside: set[asyncio.Task[None]] = set()  # what nobody waits for
        namespaces = namespaces or Namespaces()
        self._templates = PodTemplates(api, profile, namespaces)
        self._rooms = Rooms()
        self._sweeping: asyncio.Task[None] | None = None
        self._maker = PodMaker(api, profile, self._templates, self._rooms, owner)
        mine = f"{MANAGED_LABEL}={MANAGER}"
        pods = TrimmedPods(api)
        self._informer = Informers(pods, "/api/v1/pods", self._seen, namespaces, selector=mine, keep=trimmed_pod)

    async def open(self) -> None:
        """Begin to watch; returns when all pods and templates that there are have been seen."""
        self._informer.start()
        await asyncio.gather(self._templates.open(), self._informer.synced())
        self._sweeping = asyncio.create_task(self._sweep(), name="pods that went unseen")

    async def close(self) -> None:
        """Watch no more. The pods go on: whoever starts their attempts again finds them as they are."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        await asyncio.gather(self._informer.stop(), self._templates.close())
        await asyncio.gather(*(attempt.cancel() for attempt in self._attempts.values()))
        for task in self._aside:
            task.cancel()
        await asyncio.gather(*self._aside, return_exceptions=True)

    def ailment(self) -> str:
        """Say that nothing is heard any more of pods or their templates, if that is so."""
        sweep = ended(self._sweeping, "the search for pods that went unseen")
        return self._informer.ailment() or self._templates.ailment() or sweep

    async def start(self, attempt: PodRequest, observe: Callable[[AttemptUpdate], None]) -> None:
        """Make the attempt's pod, or watch it if there is one: one that has ended is not run again."""
        if (over := self._ended.get(attempt.name)) is not None:
            observe(over)
            return
        known = self._attempts.get(attempt.name)
        if known is None:
            known = self._attempts[attempt.name] = PodAttempt(attempt.name, observe)
        known.observe, known.running, known.told = observe, False, None
        pod = self._pod(known)
        if pod is not None:
            self._judge(known, pod)
        elif known.creating is None:
            known.creating = creating = asyncio.create_task(self._create(known, attempt))
            # Whoever has thousands to start asks for the next when there is room: each that waits here takes memory.
            await asyncio.wait([creating], timeout=_FIRST_PAUSE)

    async def stop(self, name: str) -> None:
        """Delete the attempt's pod; returns when nothing of it is left."""
        attempt = self._attempts.setdefault(name, PodAttempt(name, lambda _: None))
        attempt.stopping = True
        try:
            await attempt.cancel()
            there = await self._patiently(name, lambda: self._delete_own(attempt))
            if self._pod(attempt) is not None:
                await attempt.until_gone()
            elif there and not attempt.gone:
                # One that was made just now may not have been seen yet, nor will its end be.
                await self._patiently(name, lambda: self._is_gone(*attempt.place))
        finally:
            # Also if that was refused: whoever starts it again has to hear of it.
            self._attempts.pop(name, None)
        self._ended.pop(name, None)

    async def forget(self, execution: str) -> None:
        """Delete all pods of an execution; nobody is told, and its attempts may run anew."""
        prefix = f"{execution}/"
        known = {attempt_of(pod) async for pod in self._pods_of(execution)}
        known.update(self._attempts, self._ended)
        await self._stop_all([name for name in known if name.startswith(prefix)])

    async def end(self, execution: str) -> None:
        """Delete the pods of an execution that is over, but for those that have ended, unless none is to be kept."""
        prefix, every = f"{execution}/", self._profile.delete_resource_on_finalize
        going = {attempt_of(pod) async for pod in self._pods_of(execution) if every or _goes_on(pod)}
        await self._stop_all([name for name in going if name.startswith(prefix)])

    async def _stop_all(self, names: list[str]) -> None:
        for first in range(0, len(names), _AT_ONCE):
            await asyncio.gather(*map(self.stop, names[first : first + _AT_ONCE]))

    async def release(self, execution: str) -> None:
        """Watch the pods of an execution no more, and make none: another operator may have deleted it by then."""
        names = [name for name in self._attempts if name.startswith(f"{execution}/")]
        released = [self._attempts.pop(name) for name in names]
        await asyncio.gather(*(attempt.cancel() for attempt in released))

    async def _pods_of(self, execution: str) -> AsyncIterator[Json]:
        """Yield the pods that the API server has: of an execution, or of another whose name has the same label."""
        project, domain, name = execution.split("/")
        path = f"/api/v1/namespaces/{namespace_of(project, domain)}/pods"
        query = {"labelSelector": f"{MANAGED_LABEL}={MANAGER},{EXECUTION_LABEL}={label_value(name)}", "limit": _PAGE}
        while True:
            page = await self._api.get(path, **query)
            for pod in page["items"]:
                yield pod
            token = page["metadata"].get("continue", "")
            if not token:
                return
            query["continue"] = token

    def _pod(self, attempt: PodAttempt) -> Json | None:
        """Return the attempt's pod as it was seen last: one that only has its name is somebody else's."""
        pod = self._informer.get(*attempt.place)
        return pod if pod is not None and attempt_of(pod) == attempt.name else None

    async def _create(self, attempt: PodAttempt, request: PodRequest) -> None:
        try:
            await self._maker.make(request, lambda phase, reason: self._tell_waiting(attempt, phase, reason))
        except FlyteformError as error:
            self._end(attempt, Failed(failure_of(error), self._now()))
        except Exception:  # a defect of ours: an attempt that is never told of would wait for ever
            logger.exception("the pod of %s cannot be made", attempt.name)
            failure = Failure("PodNotMade", "the pod cannot be made; the operator's log says why", FailureKind.SYSTEM)
            self._end(attempt, Failed(failure, self._now()))
        finally:
            attempt.creating = None

    async def _delete_own(self, attempt: PodAttempt) -> bool:
        """Tell the attempt's pod to go; return whether there is one. One that only has its name is left alone."""
        namespace, name = attempt.place
        if self._pod(attempt) is None:
            try:
                there = await self._api.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
            except NotFoundError:
                return False
            if not is_of(there, attempt.name):
                return False
        return await self._delete(namespace, name)

    async def _delete(self, namespace: str, name: str) -> bool:
        """Tell a pod to go; return whether there is one."""
        try:
            deleted = await self._api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
        except NotFoundError:
            return False
        if self._profile.finalizer in deleted.get("metadata", {}).get("finalizers", []):
            await self._release(deleted)
        return True

    async def _is_gone(self, namespace: str, name: str) -> None:
        """Raise `_GoingError` while the pod is still there."""
        with contextlib.suppress(NotFoundError):
            await self._api.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
            raise _GoingError(f"pod {name} has its grace period")

    async def _patiently(self, name: str, action: Callable[[], Awaitable[Answer]]) -> Answer:
        """Repeat what the API server cannot do now until it can."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return await action()
            except FlyteformError as error:
                if not error.retryable:
                    raise
                logger.warning("%s has to wait %.1f s: %s", name, pause, error.message)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _seen(self, pod: Json, there: bool) -> None:
        attempt, metadata = self._attempts.get(attempt_of(pod)), pod["metadata"]
        if self._rooms.wanted and (not there or pod["status"].get("phase") in ("Succeeded", "Failed")):
            self._rooms.freed(metadata["namespace"])
        # Whoever may make pods may call one anything: the attempt's own has its name too.
        if attempt is not None and attempt.place == (metadata["namespace"], metadata["name"]):
            self._judge_seen(attempt, pod, there)
        if there and self._keeps(pod):
            # Another operator may be about to see how it has ended.
            delay = 0.0 if attempt_of(pod) in self._ended else _LET_GO_AFTER
            asyncio.get_running_loop().call_later(delay, self._let_go, pod["metadata"])

    def _keeps(self, pod: Json) -> bool:
        """Say whether only our finalizer still keeps a pod that somebody has deleted."""
        metadata = pod["metadata"]
        held = self._profile.finalizer in metadata.get("finalizers", []) and metadata.get("deletionTimestamp")
        return bool(held) and not _goes_on(pod)

    def _let_go(self, metadata: Json) -> None:
        """Let a pod be removed, if nobody here waits for its end."""
        pod = self._informer.get(metadata["namespace"], metadata["name"])
        if pod is None or pod["metadata"]["uid"] != metadata["uid"] or attempt_of(pod) in self._attempts:
            return
        self._do_aside(metadata["name"], lambda: self._release(pod))

    def _do_aside(self, name: str, action: Callable[[], Awaitable[object]]) -> None:
        """Do something that nobody waits for, as soon as it can be done."""

        async def act() -> None:
            try:
                await self._patiently(name, action)
            except FlyteformError as error:
                logger.warning("%s cannot be looked after: %s", name, error.message)

        task = asyncio.create_task(act())
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def _release(self, pod: Json) -> None:
        with contextlib.suppress(NotFoundError):
            kept = [one for one in pod["metadata"]["finalizers"] if one != self._profile.finalizer]
            await self._api.patch(_path(pod), {"metadata": {"finalizers": kept or None}})

    def _judge_seen(self, attempt: PodAttempt, pod: Json, there: bool) -> None:
        self._judge(attempt, pod)
        if there:
            return
        attempt.note_gone()
        # Its last state may say how it ended; if that is no end, whoever deleted it is at fault.
        if attempt.settling is None:
            self._end(attempt, Failed(_GONE, self._now()))
        if attempt.creating is not None and not attempt.stopping:
            # It was made and has gone while the answer was on its way; what asks for it again is too late.
            self._do_aside(attempt.name, lambda: self._unmake(attempt))

    async def _sweep(self) -> None:
        """Look now and then after attempts that do not run: of some no change tells."""
        while True:
            await asyncio.sleep(_SWEEP_PAUSE)
            for attempt in list(self._attempts.values()):
                if not attempt.running and not attempt.stopping and attempt.creating is None:
                    waited, attempt.waited = attempt.waited, True
                    if waited:
                        await self._look_after(attempt)

    async def _look_after(self, attempt: PodAttempt) -> None:
        """Find out what keeps an attempt from running: its pod may have gone between two watches."""
        pod = self._pod(attempt)
        if pod is None:
            await self._look_for(attempt)
            return
        state = state_of(pod, self._profile.grace, self._now())
        if isinstance(state, Waiting):
            # What is usual for a moment is not when it lasts.
            self._tell_waiting(attempt, state.phase, state.reason)

    async def _look_for(self, attempt: PodAttempt) -> None:
        namespace, name = attempt.place
        try:
            there = is_of(await self._api.get(f"/api/v1/namespaces/{namespace}/pods/{name}"), attempt.name)
        except NotFoundError:
            there = False
        except FlyteformError as error:
            logger.info("%s cannot be looked for now: %s", attempt.name, error.message)
            return
        if not there and self._attempts.get(attempt.name) is attempt and self._pod(attempt) is None:
            self._end(attempt, Failed(_GONE, self._now()))

    async def _unmake(self, attempt: PodAttempt) -> None:
        await attempt.cancel()
        await self._delete_own(attempt)

    def _judge(self, attempt: PodAttempt, pod: Json) -> None:
        if attempt.name in self._ended or attempt.stopping:
            return
        attempt.cancel_timer()
        state = state_of(pod, self._profile.grace, self._now())
        match state:
            case Waiting():
                self._tell_waiting(attempt, state.phase, state.reason, usual=state.usual)
                self._look_again(attempt, state.look_again)
            case Running():
                self._tell_running(attempt, pod, state.since)
                self._look_again(attempt, state.look_again)
            case Copying():
                self._tell_running(attempt, pod, state.since)
                if EXIT_ANNOTATION not in pod["metadata"]["annotations"]:
                    self._settle(attempt, self._let_copy(attempt, pod))
            case Ended() | Failed():
                if _goes_on(pod):
                    self._settle(attempt, self._wind_up(attempt, pod, state))
                else:
                    self._end(attempt, state, pod)
            case _:
                assert_never(state)

    def _tell_waiting(self, attempt: PodAttempt, phase: AttemptPhase, reason: str, *, usual: bool = False) -> None:
        """Tell what the attempt waits for, if that is news.

        What is usual is told only after something that was not: it says that this is over. Reasons may come and go in
        one phase, with every node that is looked at: what lasts of them is told when attempts are looked after.
        """
        same, now = attempt.told is not None and attempt.told[0] is phase, self._now()
        if usual and (attempt.told is None or same):
            return
        news = phase, _NUMBERS.sub("", reason)
        if attempt.told == news or (same and now < attempt.told_at + _CALM):
            return
        attempt.told, attempt.told_at = news, now
        if not usual:
            logger.warning("%s waits: %s", attempt.name, reason)
        attempt.observe(AttemptUpdate(attempt.name, phase, now, reason=reason))

    def _tell_running(self, attempt: PodAttempt, pod: Json, since: datetime) -> None:
        if not attempt.running:
            attempt.running = True
            links = log_links(pod, self._profile.log_links, self._now())
            attempt.observe(AttemptUpdate(attempt.name, AttemptPhase.RUNNING, since, links))

    def _look_again(self, attempt: PodAttempt, at: datetime | None) -> None:
        """Judge the pod again when its patience is over: nothing else may happen to it until then."""
        if at is None:
            return

        def look() -> None:
            pod = self._pod(attempt)
            if pod is not None:
                self._judge(attempt, pod)

        delay = max(0.0, (at - self._now()).total_seconds())
        attempt.timer = asyncio.get_running_loop().call_later(delay, look)

    def _settle(self, attempt: PodAttempt, action: Coroutine[None, None, None]) -> None:
        """Say something to the pod, one thing at a time."""
        if attempt.settling is not None:
            action.close()
            return

        def settled(_: asyncio.Task[None]) -> None:
            attempt.settling = None

        attempt.settling = asyncio.create_task(action)
        attempt.settling.add_done_callback(settled)

    async def _let_copy(self, attempt: PodAttempt, pod: Json) -> None:
        """Tell the container that waits for it that the primary one has succeeded."""
        try:
            await self._patiently(attempt.name, lambda: self._api.patch(_path(pod), _exit(0)))
        except FlyteformError as error:
            logger.warning("%s cannot be told to copy: %s", attempt.name, error.message)
            self._end(attempt, Failed(_GONE, self._now()), pod)

    async def _wind_up(self, attempt: PodAttempt, pod: Json, state: Ended | Failed) -> None:
        """End what still runs, or may yet begin, of a pod whose attempt is over; then tell the end.

        One that has not begun is deleted. Of another the end stays to be seen, for people and for a successor of ours.
        """
        metadata, begun = pod["metadata"], pod["status"].get("phase") != "Pending"
        try:
            if begun:
                code = state.exit_code if isinstance(state, Ended) else 1
                patch = {**_exit(code), "spec": {"activeDeadlineSeconds": 1}}
                await self._patiently(attempt.name, lambda: self._api.patch(_path(pod), patch))
            else:
                await self._patiently(attempt.name, lambda: self._delete(metadata["namespace"], metadata["name"]))
        except FlyteformError as error:
            logger.warning("what is left of %s cannot be ended: %s", attempt.name, error.message)
        self._end(attempt, state, pod)

    def _end(self, attempt: PodAttempt, state: Ended | Failed, pod: Json | None = None) -> None:
        if attempt.name in self._ended or attempt.stopping:
            return
        links = log_links(pod, self._profile.log_links, self._now()) if pod is not None else ""
        update = self._ended[attempt.name] = _update(attempt.name, state, links)
        if len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        attempt.cancel_timer()
        self._attempts.pop(attempt.name, None)
        attempt.observe(update)


class _GoingError(FlyteformError):
    """A pod that was deleted is there still."""

    retryable = True


def _goes_on(pod: Json) -> bool:
    """Say whether something of a pod runs, or may begin to, by its own account."""
    status = pod["status"]
    if status.get("phase") in ("Succeeded", "Failed"):
        return False
    states = [container.get("state", {}) for container in status.get("containerStatuses", [])]
    return not states or not all("terminated" in state for state in states)


def _path(pod: Json) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _exit(code: int) -> Json:
    return {"metadata": {"annotations": {EXIT_ANNOTATION: str(code)}}}


def _update(name: str, state: Ended | Failed, links: str) -> AttemptUpdate:
    """Return what is told of an end: files that the attempt left go before what Kubernetes says."""
    if isinstance(state, Failed):
        return AttemptUpdate(name, AttemptPhase.EXITED, state.at, links, failure=state.failure)
    reason = state.message if state.exit_code else ""
    return AttemptUpdate(name, AttemptPhase.EXITED, state.at, links, exit_code=state.exit_code, reason=reason)
