"""What a pod's status means for its attempt: does it wait, does it run, how has it ended, and whose fault was that.

The rules and the error codes are Flyte's. Where Flyte guesses (a container killed by SIGKILL is called interrupted and
still costs the user a retry), Kubernetes' own word decides first: the pod's condition `DisruptionTarget`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.kubernetes.copying import DOWNLOADER, EXIT_ANNOTATION, UPLOADER
from flyteform_dataplane.kubernetes.pods import PRIMARY_ANNOTATION
from flyteform_dataplane.ports import AttemptPhase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform_dataplane.kubernetes.profile import GracePeriods, Json

_SIGKILL, _SIGTERM = 137, 143
_OOM = "OOMKilled"
_INTERRUPTED, _EVICTED, _COPYING = "Interrupted", "Evicted", "CopyingFailed"
# A node that shuts down says so as the pod's reason; evictions, a lost node and one that takes no pod likewise.
_NODE_REASONS = frozenset(
    {"Shutdown", "Terminated", "NodeShutdown", "NodeLost", "Evicted", "NodeAffinity", "UnexpectedAdmissionError"}
)
_NODE_FULL = "OutOf"
# Kubelets' words for a pod that is evicted for what itself has written.
_OWN_STORAGE = re.compile(r"exceed(s|ed) (its|the|the total) (local ephemeral storage )?limit")
_PREEMPTED_REASONS = frozenset({"Preempting", "Preempted"})
# How long after the end of its grace period a pod may still be there.
_GONE_BY = timedelta(minutes=1)
_WAITING_WELL = frozenset({"ContainerCreating", "PodInitializing", "ErrImagePull", "Pulling"})
_UNREADY = "ContainersNotReady"
# Many a pod has no node for a moment, until another has gone or the cluster has grown.
_USUAL_QUEUE = timedelta(seconds=10)
# A kubelet's words for what a container takes its environment from.
_MISSING = re.compile(r'\b(secret|configmap) "[^"]*" not found')
_NEVER_MENDS = frozenset({"InvalidImageName", "ErrImageNeverPull"})


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pod does not run yet. `look_again` is when there may be more to say of it without any change.

    `phase` is what its attempt is in, QUEUED or INITIALIZING; what is `usual` every pod goes through.
    """

    reason: str
    look_again: datetime | None = None
    phase: AttemptPhase = AttemptPhase.INITIALIZING
    usual: bool = False


@dataclass(frozen=True, slots=True)
class Running:
    """The primary container runs. `look_again` is when its pod should be gone, if it was told to go."""

    since: datetime
    look_again: datetime | None = None


@dataclass(frozen=True, slots=True)
class Copying:
    """The primary container has succeeded, and another one copies what it made."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """The primary container has ended by itself; what its attempt left behind decides what that means."""

    exit_code: int
    message: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Failed:
    """The pod cannot give a result any more."""

    failure: Failure
    at: datetime


PodState: TypeAlias = Waiting | Running | Copying | Ended | Failed


def state_of(pod: Json, grace: GracePeriods, now: datetime) -> PodState:
    """Judge a pod's status. `now` matters only for how long it has been waiting."""
    state = _by_phase(pod, grace, now)
    if isinstance(state, Waiting | Running) and pod["metadata"].get("deletionTimestamp"):
        return _leaving(pod, state, now)
    return state


def _by_phase(pod: Json, grace: GracePeriods, now: datetime) -> PodState:
    status = pod.get("status", {})
    primary = pod["metadata"].get("annotations", {}).get(PRIMARY_ANNOTATION, "")
    match status.get("phase", "Pending"):
        case "Succeeded":
            return _ended(pod, primary, now)
        case "Failed":
            return _failed(pod, primary, now)
        case "Unknown":
            return Failed(_system(_INTERRUPTED, "the node does not answer any more"), now)
        case "Running":
            return _running(pod, primary, now)
        case _:
            return _pending(pod, grace, now)


def _leaving(pod: Json, state: Waiting | Running, now: datetime) -> PodState:
    """Judge a pod that was told to go: it may still end by itself, but who does not go at all has lost its node."""
    patience = _time(pod["metadata"]["deletionTimestamp"], now) + _GONE_BY
    if now < patience:
        return replace(state, look_again=min(state.look_again or patience, patience))
    disruption = _disruption(pod.get("status", {}))
    message = "the pod was told to go and its node does not answer"
    return Failed(_system(_INTERRUPTED, f"{disruption}; {message}" if disruption else message), now)


def _running(pod: Json, primary: str, now: datetime) -> PodState:
    """Judge by the primary container: others may outlive it."""
    container = _container(pod, primary) or {}
    terminated = container.get("state", {}).get("terminated")
    running = terminated or container.get("state", {}).get("running", {})
    since = _time(running.get("startedAt") or pod["status"].get("startTime"), now)
    if terminated is None:
        return Running(since)
    if terminated["exitCode"]:
        return _failed(pod, primary, now)
    uploader = _container(pod, UPLOADER)
    if uploader is not None and not uploader.get("state", {}).get("terminated"):
        return Copying(since)
    return _ended(pod, primary, now)


def _ended(pod: Json, primary: str, now: datetime) -> PodState:
    container = _container(pod, primary)
    terminated = (container or {}).get("state", {}).get("terminated", {})
    if _OOM in terminated.get("reason", ""):  # a child was killed, and the container's program went on
        return _failed(pod, primary, now)
    uploader = (_container(pod, UPLOADER) or {}).get("state", {}).get("terminated", {})
    if uploader.get("exitCode"):
        told = f"what the command made could not be copied\n{_sentence(UPLOADER, uploader)}"
        return Failed(_system(_COPYING, told), _time(uploader.get("finishedAt"), now))
    message = terminated.get("message", "")
    return Ended(terminated.get("exitCode", 0), message, _time(terminated.get("finishedAt"), now))


def _failed(pod: Json, primary: str, now: datetime) -> PodState:
    status = pod["status"]
    at = max((_time(one.get("finishedAt"), now) for _, one in _terminations(pod)), default=now)
    if EXIT_ANNOTATION in pod["metadata"].get("annotations", {}) and _has_ended(pod, primary):
        # It was judged before the rest of its pod was ended.
        return _failed_containers(pod, primary, at)
    disruption = _disruption(status)
    if disruption:
        return Failed(_system(_INTERRUPTED, disruption), at)
    reason, message = status.get("reason") or "", status.get("message") or ""
    if reason == _EVICTED and _OWN_STORAGE.search(message):
        return Failed(Failure(_EVICTED, message, recoverable=True), at)
    if reason in _NODE_REASONS | _PREEMPTED_REASONS or reason.startswith(_NODE_FULL):
        return Failed(_system(_INTERRUPTED, f"{reason}: {message or 'the node took the pod away'}"), at)
    if reason == "DeadlineExceeded":
        return Failed(Failure(reason, message or "the pod was active for too long", recoverable=True), at)
    return _failed_containers(pod, primary, at)


def _failed_containers(pod: Json, primary: str, at: datetime) -> PodState:
    """Judge by how the primary container has ended, or by the others where it never began."""
    terminations = list(_terminations(pod))
    told = "\n".join(_sentence(name, one) for name, one in terminations) or "Kubernetes says no more about it"
    own = dict(terminations).get(primary)
    if own is not None and own["exitCode"] == 0 and _OOM not in own.get("reason", ""):
        return _ended(pod, primary, at)
    downloader = dict(terminations).get(DOWNLOADER, {})
    if own is None and downloader.get("exitCode"):
        return Failed(_system(_COPYING, f"the inputs could not be copied\n{_sentence(DOWNLOADER, downloader)}"), at)
    for name, one in terminations if own is None else [(primary, own)]:
        if _OOM in one.get("reason", ""):
            message = f"container {name} used more memory than its limit\n{told}"
            return Failed(Failure(_OOM, message, recoverable=True), at)
        if one["exitCode"] in (_SIGKILL, _SIGTERM):
            return Failed(_system(_INTERRUPTED, told), at)
    if own is not None:
        # Programs that are told to go may still say something else by their exit code.
        gone = _was_told_to_go(pod, own)
        return (
            Failed(_system(_INTERRUPTED, f"the pod was deleted\n{told}"), at)
            if gone
            else Ended(own["exitCode"], told, at)
        )
    code = pod["status"].get("reason") or "UnknownError"
    message = pod["status"].get("message") or told
    return Failed(Failure(code, message, recoverable=True), at)


def _pending(pod: Json, grace: GracePeriods, now: datetime) -> PodState:
    """Judge a pod that has not started: what is wrong may mend itself, each way of failing for a while of its own."""
    status = pod.get("status", {})
    since = _time(pod["metadata"].get("creationTimestamp"), now)
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if not reason or reason in _WAITING_WELL:
            continue
        message = _hinted(f"{reason}: {waiting.get('message', '')}".rstrip(": "), pod)
        judged = _stuck(reason, message, _unready(status, since), grace, now)
        if judged is not None:
            return judged
    state = _before_containers(status, now)
    if not grace.pending:
        return state
    if now - since >= grace.pending:
        message = f"the pod was pending for {grace.pending}: {state.reason}"
        return Failed(_system("PodPendingTimeout", message), now)
    over = since + grace.pending
    return replace(state, look_again=min(state.look_again or over, over))


def _stuck(
    reason: str, message: str, unready: tuple[str, datetime], grace: GracePeriods, now: datetime
) -> PodState | None:
    """Judge one reason for waiting that is an error; None for one that is not known as such.

    Its code is Flyte's: why the pod is not ready, and why its container waits.
    """
    code, since = f"{unready[0]}|{reason}", unready[1]
    if reason in _NEVER_MENDS:
        return Failed(Failure(code, message), now)
    patience: dict[str, timedelta] = {
        "ImagePullBackOff": grace.image_pull_backoff,
        "CreateContainerError": grace.create_container_error,
        "RunContainerError": grace.create_container_error,
        "CreateContainerConfigError": grace.create_container_config_error,
    }
    if reason not in patience:
        return Failed(_system(code, message), now) if reason.endswith("Error") else None
    if now - since < patience[reason]:
        return Waiting(message, since + patience[reason])
    # An image may be pushed later; a container that cannot be made will not be made the next time.
    return Failed(Failure(code, message, recoverable=reason == "ImagePullBackOff"), now)


def _hinted(message: str, pod: Json) -> str:
    """Add what to do about something of the namespace that a container needs and that is not there."""
    missing = _MISSING.search(message)
    if missing is None:
        return message
    where = pod["metadata"].get("namespace", "the task's")
    return f"{message}; make that {missing[1]} in namespace {where}, or correct its name in the task's pod"


def _before_containers(status: Json, now: datetime) -> Waiting:
    """Say what a pod waits for of which no container has anything to say."""
    conditions: list[Json] = status.get("conditions", [])
    scheduled = next((each for each in conditions if each.get("type") == "PodScheduled"), None)
    if scheduled is None:
        return Waiting("it waits for a node", phase=AttemptPhase.QUEUED, usual=True)
    if scheduled.get("status") == "True":
        return Waiting("its containers are being made", usual=True)
    why = f"{scheduled.get('reason', 'Unschedulable')}: {scheduled.get('message', '')}".rstrip(": ")
    told = _time(scheduled.get("lastTransitionTime"), now - _USUAL_QUEUE) + _USUAL_QUEUE
    return Waiting(why, told if now < told else None, AttemptPhase.QUEUED, usual=now < told)


def _unready(status: Json, default: datetime) -> tuple[str, datetime]:
    """Return why the pod's containers are not ready, in Kubernetes' word, and since when."""
    for condition in status.get("conditions", []):
        if condition.get("type") == "ContainersReady":
            return condition.get("reason") or _UNREADY, _time(condition.get("lastTransitionTime"), default)
    return _UNREADY, default


def _disruption(status: Json) -> str:
    for condition in status.get("conditions", []):
        if condition.get("type") == "DisruptionTarget" and condition.get("status") == "True":
            return f"{condition.get('reason', 'Disrupted')}: {condition.get('message', '')}".rstrip(": ")
    return ""


def _terminations(pod: Json) -> Iterator[tuple[str, Json]]:
    """Yield the containers that have ended, with how."""
    status = pod["status"]
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        states = (container.get("state", {}), container.get("lastState", {}))
        terminated = next((state["terminated"] for state in states if state.get("terminated")), None)
        if terminated is not None:
            yield container["name"], terminated


def _was_told_to_go(pod: Json, terminated: Json) -> bool:
    """Say whether a container ended after somebody had its pod deleted; Kubernetes tells both in whole seconds."""
    metadata = pod["metadata"]
    if not metadata.get("deletionTimestamp") or not terminated.get("finishedAt"):
        return False
    grace = timedelta(seconds=metadata.get("deletionGracePeriodSeconds") or 0)
    return bool(
        datetime.fromisoformat(metadata["deletionTimestamp"]) - grace
        <= datetime.fromisoformat(terminated["finishedAt"])
    )


def _sentence(name: str, terminated: Json) -> str:
    reason = f" ({terminated['reason']})" if terminated.get("reason") not in (None, "", "Error", "Completed") else ""
    message = f": {terminated['message'].strip()}" if terminated.get("message") else ""
    return f"[{name}] terminated with exit code ({terminated['exitCode']}){reason}{message}"


def _has_ended(pod: Json, name: str) -> bool:
    return bool((_container(pod, name) or {}).get("state", {}).get("terminated"))


def _container(pod: Json, name: str) -> Json | None:
    found: list[Json] = pod["status"].get("containerStatuses", [])
    return next((container for container in found if container["name"] == name), None)


def _system(code: str, message: str) -> Failure:
    return Failure(code, message, FailureKind.SYSTEM, recoverable=True)


def _time(text: Any, default: datetime) -> datetime:
    return datetime.fromisoformat(text) if isinstance(text, str) else default
