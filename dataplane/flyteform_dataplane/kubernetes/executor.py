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
from flyteform_dataplane.kubernetes.names import label_value, namespace_of, place_of
from flyteform_dataplane.kubernetes.pods import ATTEMPT_ANNOTATION, EXECUTION_LABEL, MANAGED_LABEL, MANAGER, pod_of
from flyteform_dataplane.kubernetes.states import Ended, Failed, Running, Waiting, state_of
from flyteform_dataplane.ports import AttemptPhase, AttemptUpdate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.profile import Json, PodProfile
    from flyteform_dataplane.ports import PodRequest

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
# Kubernetes' words for a namespace that is full: it may have room later.
_QUOTA = "exceeded quota"
_GONE = Failure("PodDeleted", "somebody deleted the pod", FailureKind.SYSTEM, recoverable=True)


@dataclass(eq=False, slots=True)
class _Attempt:
    name: str
    observe: Callable[[AttemptUpdate], None]
    running: bool = False
    over: AttemptUpdate | None = None
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
        for attempt in self._attempts.values():
            _cancel_timer(attempt)
        creating = [attempt.creating for attempt in self._attempts.values() if attempt.creating is not None]
        for task in creating:
            task.cancel()
        await asyncio.gather(*creating, return_exceptions=True)

    async def start(self, attempt: PodRequest, observe: Callable[[AttemptUpdate], None]) -> None:
        """Make the attempt's pod, or watch it if there is one: one that has ended is not run again."""
        known = self._attempts.get(attempt.name)
        if known is None:
            known = self._attempts[attempt.name] = _Attempt(attempt.name, observe)
        known.observe, known.running = observe, False
        if known.over is not None:
            observe(known.over)
            return
        pod = self._informer.get(*place_of(attempt.name))
        if pod is not None:
            self._judge(known, pod)
        elif known.creating is None:
            known.creating = asyncio.create_task(self._create(known, attempt))

    async def stop(self, name: str) -> None:
        """Delete the attempt's pod; returns when nothing of it is left."""
        attempt = self._attempts.setdefault(name, _Attempt(name, lambda _: None))
        attempt.stopping = True
        _cancel_timer(attempt)
        if attempt.creating is not None:
            attempt.creating.cancel()
            await asyncio.gather(attempt.creating, return_exceptions=True)
        await self._patiently(name, lambda: self._delete(*place_of(name)))
        if self._informer.get(*place_of(name)) is not None:
            await attempt.gone.wait()
        self._attempts.pop(name, None)

    async def forget(self, execution: str) -> None:
        """Delete all pods of an execution; nobody is told, and its attempts may run anew."""
        project, domain, name = execution.split("/")
        for attempt in [each for each in self._attempts if each.startswith(f"{execution}/")]:
            await self.stop(attempt)
        namespace = namespace_of(project, domain)
        selector = f"{MANAGED_LABEL}={MANAGER},{EXECUTION_LABEL}={label_value(name)}"
        pods = await self._api.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
        for pod in pods["items"]:
            if pod["metadata"]["annotations"].get(ATTEMPT_ANNOTATION, "").startswith(f"{execution}/"):
                await self._delete(namespace, pod["metadata"]["name"])

    async def _create(self, attempt: _Attempt, request: PodRequest) -> None:
        try:
            manifest = pod_of(request, self._profile)
            await self._patiently(attempt.name, lambda: self._post(manifest))
        except UserError as error:
            self._end(attempt, Failed(Failure(error.code, error.message), self._now()))
        except InvalidInputError as error:
            self._end(attempt, Failed(Failure("BadTaskSpecification", error.message), self._now()))
        except FlyteformError as error:
            failure = Failure(
                error.code, f"the pod cannot be made: {error.message}", FailureKind.SYSTEM, recoverable=True
            )
            self._end(attempt, Failed(failure, self._now()))
        finally:
            attempt.creating = None

    async def _post(self, manifest: Json) -> None:
        try:
            await self._api.create(f"/api/v1/namespaces/{manifest['metadata']['namespace']}/pods", manifest)
        except AlreadyExistsError:
            return
        except InvalidInputError as error:
            if _QUOTA in error.message:
                raise _FullError(error.message) from error
            raise

    async def _delete(self, namespace: str, name: str) -> None:
        path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        try:
            pod = await self._api.get(path)
            if self._profile.finalizer in pod["metadata"].get("finalizers", []):
                await self._api.patch(path, {"metadata": {"finalizers": None}})
            await self._api.delete(path)
        except NotFoundError:
            return

    async def _patiently(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        """Repeat what the API server cannot do now until it can."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await action()
            except FlyteformError as error:
                if not error.retryable:
                    raise
                logger.warning("%s has to wait %.1f s: %s", name, pause, error.message)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return

    def _seen(self, pod: Json, there: bool) -> None:
        attempt = self._attempts.get(pod["metadata"].get("annotations", {}).get(ATTEMPT_ANNOTATION, ""))
        if attempt is None:
            return
        self._judge(attempt, pod)
        if there:
            return
        attempt.gone.set()
        # Its last state may say how it ended; if that is no end, whoever deleted it is at fault.
        if attempt.over is None and not attempt.stopping:
            self._end(attempt, Failed(_GONE, self._now()))

    def _judge(self, attempt: _Attempt, pod: Json) -> None:
        if attempt.over is not None or attempt.stopping:
            return
        _cancel_timer(attempt)
        state = state_of(pod, self._profile.grace, self._now())
        match state:
            case Waiting():
                self._look_again(attempt, state)
            case Running():
                if not attempt.running:
                    attempt.running = True
                    attempt.observe(AttemptUpdate(attempt.name, AttemptPhase.RUNNING, state.since))
            case Ended() | Failed():
                self._end(attempt, state)
            case _:
                assert_never(state)

    def _look_again(self, attempt: _Attempt, state: Waiting) -> None:
        """Judge the pod again when its patience is over: nothing else may happen to it until then."""
        if state.look_again is None:
            return
        delay = max(0.0, (state.look_again - self._now()).total_seconds())

        def look() -> None:
            pod = self._informer.get(*place_of(attempt.name))
            if pod is not None:
                self._judge(attempt, pod)

        attempt.timer = asyncio.get_running_loop().call_later(delay, look)

    def _end(self, attempt: _Attempt, state: Ended | Failed) -> None:
        attempt.over = _update(attempt.name, state)
        _cancel_timer(attempt)
        attempt.observe(attempt.over)


class _FullError(FlyteformError):
    """The namespace has no room for the pod now."""

    retryable = True


def _update(name: str, state: Ended | Failed) -> AttemptUpdate:
    """Return what is told of an end: files that the attempt left go before what Kubernetes says."""
    if isinstance(state, Failed):
        return AttemptUpdate(name, AttemptPhase.EXITED, state.at, failure=state.failure)
    reason = state.message if state.exit_code else ""
    return AttemptUpdate(name, AttemptPhase.EXITED, state.at, exit_code=state.exit_code, reason=reason)


def _cancel_timer(attempt: _Attempt) -> None:
    if attempt.timer is not None:
        attempt.timer.cancel()
        attempt.timer = None
