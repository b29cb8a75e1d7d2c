"""Makes the pods of attempts: each once, as soon as the API server takes it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flyteform.errors import AlreadyExistsError, ConflictError, FlyteformError, NotFoundError
from flyteform_dataplane.kubernetes.api import ForbiddenError
from flyteform_dataplane.kubernetes.names import execution_of, place_of
from flyteform_dataplane.kubernetes.pods import ATTEMPT_ANNOTATION, MANAGED_LABEL, pod_of
from flyteform_dataplane.kubernetes.refusals import BusyError, ComingError, NoRoomError, weighed
from flyteform_dataplane.ports import AttemptPhase

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform_dataplane.kubernetes.api import KubernetesApi
    from flyteform_dataplane.kubernetes.podtemplates import PodTemplates
    from flyteform_dataplane.kubernetes.profile import Json, PodProfile
    from flyteform_dataplane.kubernetes.rooms import Rooms
    from flyteform_dataplane.ports import PodRequest

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 60.0
# Seconds that an API server may be away, or without a right for us, until people are told what their attempt waits for.
_USUAL_SILENCE = 10.0
# Seconds that what belongs to a namespace may come after it, as the resource sync makes one after the other.
_COMING = 20.0


class PodMaker:
    """Asks for pods, again and again where they may be taken later. `owner` gives the unique id of an execution."""

    def __init__(
        self,
        api: KubernetesApi,
        profile: PodProfile,
        templates: PodTemplates,
        rooms: Rooms,
        owner: Callable[[str], str],
    ) -> None:
        self._api = api
        self._profile = profile
        self._templates = templates
        self._rooms = rooms
        self._owner = owner

    async def make(self, request: PodRequest, waits: Callable[[AttemptPhase, str], None]) -> None:
        """Return when there is a pod of the attempt; `waits` is told, for people, what it waits for meanwhile.

        `FlyteformError` if it is not taken and never will be, or if there is somebody else's pod of its name.
        """
        namespace, _ = place_of(request.name)
        await self._templates.known(namespace)
        clock, pause = asyncio.get_running_loop().time, _FIRST_PAUSE
        began = clock()
        while True:
            obstacle = await self._try(request, namespace, late=clock() > began + _COMING)
            if obstacle is None:
                break
            phase, reason = obstacle
            if phase is AttemptPhase.WAITING_FOR_RESOURCES:
                waits(phase, reason)
                woken = await self._rooms.wait(namespace, pause)
            else:
                # A server that is away for long is told of once by each of those that wait, not each time.
                level = logging.WARNING if pause == _FIRST_PAUSE else logging.INFO
                logger.log(level, "%s has to wait %.1f s: %s", request.name, pause, reason)
                if clock() > began + _USUAL_SILENCE:
                    waits(phase, f"the pod cannot be made yet: {reason}")
                woken = False
                await asyncio.sleep(pause)
            # Room that somebody has made is counted a little later.
            pause = _FIRST_PAUSE if woken else min(2 * pause, _LONGEST_PAUSE)
        if self._rooms.wanted:
            self._rooms.freed(namespace)

    async def _try(self, request: PodRequest, namespace: str, *, late: bool) -> tuple[AttemptPhase, str] | None:
        """Ask for the pod; return why it has to wait. Not the error: with its frames that is ten times as large.

        Who is `late` waits no more for what others may be about to make.
        """
        try:
            await self._post(self._manifest(request, namespace))
        except NoRoomError as error:
            return AttemptPhase.WAITING_FOR_RESOURCES, error.message
        except ComingError as error:
            if late:
                raise error.refusal from error
            return AttemptPhase.QUEUED, error.message
        except FlyteformError as error:
            if not error.retryable:
                raise
            return AttemptPhase.QUEUED, error.message
        return None

    def _manifest(self, request: PodRequest, namespace: str) -> Json:
        """Return the pod: made anew for each try, as ten thousand that wait would take much memory."""
        template = self._templates.find(request.task, namespace)
        return pod_of(request, self._profile, template, self._owner(execution_of(request.name)))

    async def _post(self, manifest: Json) -> None:
        namespace, name = manifest["metadata"]["namespace"], manifest["metadata"]["name"]
        path = f"/api/v1/namespaces/{namespace}/pods"
        posting = asyncio.ensure_future(self._api.create(path, manifest, metadata_only=True))
        try:
            await asyncio.shield(posting)
        except asyncio.CancelledError:
            # What is on its way may still be carried out: whoever deletes the pod next must come after it.
            await asyncio.gather(posting, return_exceptions=True)
            raise
        except AlreadyExistsError:
            await self._look_whose(f"{path}/{name}", manifest)
        except ConflictError as error:
            raise BusyError(error.message) from error
        except ForbiddenError as error:
            raise weighed(error, namespace) from error

    async def _look_whose(self, path: str, manifest: Json) -> None:
        """Find that the pod of this name is the attempt's; `ConflictError` if it is not."""
        try:
            there = await self._api.get(path)
        except NotFoundError as error:
            raise BusyError("the pod of its name has just gone") from error
        if not is_of(there, attempt_of(manifest)):
            name = manifest["metadata"]["name"]
            raise ConflictError(f"somebody else has made a pod of its name, {name}")


def attempt_of(pod: Json) -> str:
    """Return the name of the attempt that a pod says it was made for, empty if none."""
    return str(pod["metadata"].get("annotations", {}).get(ATTEMPT_ANNOTATION, ""))


def is_of(pod: Json, attempt: str) -> bool:
    """Say whether a pod, as the API server has it, was made for an attempt."""
    return attempt_of(pod) == attempt and MANAGED_LABEL in pod["metadata"].get("labels", {})
