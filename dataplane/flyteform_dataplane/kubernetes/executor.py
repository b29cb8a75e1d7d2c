"""Runs attempts as pods: created once by their names, watched until they end, deleted when they are told to stop."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, assert_never

from flyteform.errors import AlreadyExistsError, FlyteformError, InvalidInputError, NotFoundError
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.informer import Informer
from flyteform_dataplane.kubernetes.names import pod_name
from flyteform_dataplane.kubernetes.pods import ATTEMPT_ANNOTATION, MANAGED_LABEL, MANAGER, pod_of
from flyteform_dataplane.kubernetes.states import Ended, Failed, Running, Waiting, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json, PodProfile
    from flyteform_dataplane.kubernetes.requests import PodRequest
    from flyteform_dataplane.kubernetes.states import PodState

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
# Kubernetes' words for a namespace that is full: it may have room later.
_QUOTA = "exceeded quota"
_GONE = Failure("PodDeleted", "somebody deleted the pod", FailureKind.SYSTEM, recoverable=True)


@dataclass(eq=False, slots=True)
class _Attempt:
    request: PodRequest
    observe: Callable[[PodState], None]
    running: bool = False
    over: bool = False
    seen: bool = False
    stopping: bool = False
    creating: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class PodExecutor:
    """The pods of one cluster. What it has to know after a crash is in the cluster itself."""

    def __init__(
        self, api: KubernetesApi, profile: PodProfile, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._api = api
        self._profile = profile
        self._now = now
        self._attempts: dict[str, _Attempt] = {}
        self._informer = Informer(api, "/api/v1/pods", self._seen, selector=f"{MANAGED_LABEL}={MANAGER}")

    async def open(self) -> None:
        """Begin to watch; returns when all pods that there are have been seen."""
        self._informer.start()
        await self._informer.synced()

    async def close(self) -> None:
        """Watch no more. The pods go on: whoever starts their attempts again finds them as they are."""
        await self._informer.stop()
        creating = [attempt.creating for attempt in self._attempts.values() if attempt.creating is not None]
        for attempt in self._attempts.values():
            _cancel_timer(attempt)
        for task in creating:
            task.cancel()
        await asyncio.gather(*creating, return_exceptions=True)

    def start(self, request: PodRequest, observe: Callable[[PodState], None]) -> None:
        """Make the attempt's pod, or watch it if there is one; every change of its state is told to `observe`."""
        known = self._attempts.get(request.name)
        if known is not None and not known.over:
            known.observe = observe
            known.running = False
        else:
            known = self._attempts[request.name] = _Attempt(request, observe)
        pod = self._informer.get(request.namespace, pod_name(request.name))
        if pod is not None:
            self._judge(known, pod)
        elif known.creating is None:
            known.creating = asyncio.create_task(self._create(known))

    async def stop(self, request: PodRequest) -> None:
        """Delete the attempt's pod; returns when nothing of it is left."""
        attempt = self._attempts.setdefault(request.name, _Attempt(request, lambda _: None))
        attempt.stopping = True
        if attempt.creating is not None:
            attempt.creating.cancel()
            await asyncio.gather(attempt.creating, return_exceptions=True)
        await self._patiently(self._delete, attempt)
        if self._informer.get(request.namespace, pod_name(request.name)) is not None:
            await attempt.gone.wait()
        self._attempts.pop(request.name, None)

    async def _create(self, attempt: _Attempt) -> None:
        try:
            manifest = pod_of(attempt.request, self._profile)
        except UserError as error:
            self._end(attempt, Failed(Failure(error.code, error.message), self._now()))
            return
        path = f"/api/v1/namespaces/{attempt.request.namespace}/pods"

        async def create(_: _Attempt) -> None:
            try:
                await self._api.create(path, manifest)
            except AlreadyExistsError:
                return
            except InvalidInputError as error:
                if _QUOTA in error.message:
                    raise _FullError(error.message) from error
                self._end(attempt, Failed(Failure("BadTaskSpecification", error.message), self._now()))

        await self._patiently(create, attempt)
        attempt.creating = None

    async def _delete(self, attempt: _Attempt) -> None:
        request = attempt.request
        path = f"/api/v1/namespaces/{request.namespace}/pods/{pod_name(request.name)}"
        try:
            pod = await self._api.get(path)
            if self._profile.finalizer in pod["metadata"].get("finalizers", []):
                await self._api.patch(path, {"metadata": {"finalizers": None}})
            await self._api.delete(path)
        except NotFoundError:
            return

    async def _patiently(self, action: Callable[[_Attempt], object], attempt: _Attempt) -> None:
        """Repeat what the API server cannot do now until it can."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await action(attempt)  # type: ignore[misc]
            except FlyteformError as error:
                if not error.retryable:
                    raise
                logger.warning("%s has to wait %.1f s: %s", attempt.request.name, pause, error.message)
                attempt.observe(Waiting(error.message))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return

    def _seen(self, pod: Json, there: bool) -> None:
        attempt = self._attempts.get(pod["metadata"].get("annotations", {}).get(ATTEMPT_ANNOTATION, ""))
        if attempt is None:
            return
        attempt.seen = True
        if there:
            self._judge(attempt, pod)
            return
        attempt.gone.set()
        if not attempt.over and not attempt.stopping:
            # Its last state may say how it ended; if that is no end, whoever deleted it is at fault.
            self._judge(attempt, pod)
            if not attempt.over:
                self._end(attempt, Failed(_GONE, self._now()))

    def _judge(self, attempt: _Attempt, pod: Json) -> None:
        if attempt.over or attempt.stopping:
            return
        _cancel_timer(attempt)
        state = state_of(pod, self._profile.grace, self._now())
        match state:
            case Waiting():
                attempt.observe(state)
                self._look_again(attempt, state)
            case Running():
                if not attempt.running:
                    attempt.running = True
                    attempt.observe(state)
            case Ended() | Failed():
                self._end(attempt, state)
            case _:
                assert_never(state)

    def _look_again(self, attempt: _Attempt, state: Waiting) -> None:
        """Judge the pod again when its patience is over: nothing else may happen to it until then."""
        if state.look_again is not None:
            request = attempt.request
            delay = max(0.0, (state.look_again - self._now()).total_seconds())

            def look() -> None:
                pod = self._informer.get(request.namespace, pod_name(request.name))
                if pod is not None:
                    self._judge(attempt, pod)

            attempt.timer = asyncio.get_running_loop().call_later(delay, look)

    def _end(self, attempt: _Attempt, state: PodState) -> None:
        attempt.over = True
        _cancel_timer(attempt)
        attempt.observe(state)


class _FullError(FlyteformError):
    """The namespace has no room for the pod now."""

    retryable = True


def _cancel_timer(attempt: _Attempt) -> None:
    if attempt.timer is not None:
        attempt.timer.cancel()
        attempt.timer = None
