"""What a pod's status means for its attempt: does it wait, does it run, how has it ended, and whose fault was that.

The rules and the error codes are Flyte's. Where Flyte guesses (a container killed by SIGKILL is called interrupted and
still costs the user a retry), Kubernetes' own word decides first: the pod's condition `DisruptionTarget`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.kubernetes.pods import PRIMARY_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flyteform_dataplane.kubernetes.profile import GracePeriods, Json

_SIGKILL, _SIGTERM = 137, 143
_OOM = "OOMKilled"
_INTERRUPTED = "Interrupted"
# A node that shuts down says so as the pod's reason; evictions and a lost node likewise.
_NODE_REASONS = frozenset({"Shutdown", "Terminated", "NodeShutdown", "NodeLost", "Evicted", "NodeAffinity", "OutOfcpu"})
_PREEMPTED_REASONS = frozenset({"Preempting", "Preempted"})
_WAITING_WELL = frozenset({"ContainerCreating", "PodInitializing", "ErrImagePull", "Pulling"})
_NEVER_MENDS = frozenset({"InvalidImageName", "ErrImageNeverPull"})


@dataclass(frozen=True, slots=True)
class Waiting:
    """The pod does not run yet. `look_again` is when its patience is over, if it has an end."""

    reason: str
    look_again: datetime | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The primary container runs, or one of its fellows still does after it."""

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


PodState: TypeAlias = Waiting | Running | Ended | Failed


def state_of(pod: Json, grace: GracePeriods, now: datetime) -> PodState:
    """Judge a pod's status. `now` matters only for how long it has been waiting."""
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


def _running(pod: Json, primary: str, now: datetime) -> PodState:
    """Judge by the primary container: a sidecar may outlive it."""
    container = _container(pod, primary)
    if container is None:
        return Running(_time(pod["status"].get("startTime"), now))
    terminated = container.get("state", {}).get("terminated")
    if terminated is None:
        running = container.get("state", {}).get("running", {})
        return Running(_time(running.get("startedAt") or pod["status"].get("startTime"), now))
    return _failed(pod, primary, now) if terminated["exitCode"] else _ended(pod, primary, now)


def _ended(pod: Json, primary: str, now: datetime) -> PodState:
    container = _container(pod, primary)
    terminated = (container or {}).get("state", {}).get("terminated", {})
    if _OOM in terminated.get("reason", ""):  # a child was killed, and the container's program went on
        return _failed(pod, primary, now)
    message = terminated.get("message", "")
    return Ended(terminated.get("exitCode", 0), message, _time(terminated.get("finishedAt"), now))


def _failed(pod: Json, primary: str, now: datetime) -> PodState:
    status = pod["status"]
    at = max((_time(one.get("finishedAt"), now) for _, one in _terminations(pod)), default=now)
    disruption = _disruption(status)
    if disruption:
        return Failed(_system(_INTERRUPTED, disruption), at)
    if status.get("reason") in _NODE_REASONS | _PREEMPTED_REASONS:
        reason = f"{status['reason']}: {status.get('message') or 'the node took the pod away'}"
        return Failed(_system(_INTERRUPTED, reason), at)
    if status.get("reason") == "DeadlineExceeded":
        message = status.get("message", "the pod was active for too long")
        return Failed(Failure("DeadlineExceeded", message, recoverable=True), at)
    return _failed_containers(pod, primary, at)


def _failed_containers(pod: Json, primary: str, at: datetime) -> PodState:
    terminations = list(_terminations(pod))
    told = "\n".join(_sentence(name, one) for name, one in terminations) or "Kubernetes says no more about it"
    for name, one in terminations:
        if _OOM in one.get("reason", ""):
            return Failed(
                Failure(_OOM, f"container {name} used more memory than its limit\n{told}", recoverable=True), at
            )
    own = next((one for name, one in terminations if name == primary), None)
    if own is not None and own["exitCode"] == 0:
        return Ended(0, own.get("message", ""), at)
    if any(one["exitCode"] in (_SIGKILL, _SIGTERM) for _, one in terminations):
        return Failed(_system(_INTERRUPTED, told), at)
    if own is not None:
        return Ended(own["exitCode"], told, at)
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
        message = f"{reason}: {waiting.get('message', '')}".rstrip(": ")
        judged = _stuck(reason, message, _unready_since(status, since), grace, now)
        if judged is not None:
            return judged
    if grace.pending and now - since >= grace.pending:
        message = f"the pod was pending for {grace.pending}: {_why_pending(status)}"
        return Failed(_system("PodPendingTimeout", message), now)
    return Waiting(_why_pending(status), since + grace.pending if grace.pending else None)


def _stuck(reason: str, message: str, since: datetime, grace: GracePeriods, now: datetime) -> PodState | None:
    """Judge one reason for waiting that is an error; None for one that is not known as such."""
    if reason in _NEVER_MENDS:
        return Failed(Failure(reason, message), now)
    patience: dict[str, timedelta] = {
        "ImagePullBackOff": grace.image_pull_backoff,
        "CreateContainerError": grace.create_container_error,
        "RunContainerError": grace.create_container_error,
        "CreateContainerConfigError": grace.create_container_config_error,
    }
    if reason not in patience:
        return Failed(_system(reason, message), now) if reason.endswith("Error") else None
    if now - since < patience[reason]:
        return Waiting(message, since + patience[reason])
    # An image may be pushed later; a container that cannot be made will not be made the next time.
    return Failed(Failure(reason, message, recoverable=reason == "ImagePullBackOff"), now)


def _why_pending(status: Json) -> str:
    for condition in status.get("conditions", []):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"{condition.get('reason', 'Unschedulable')}: {condition.get('message', '')}".rstrip(": ")
    return "its containers are being made"


def _unready_since(status: Json, default: datetime) -> datetime:
    times = [
        _time(condition.get("lastTransitionTime"), default)
        for condition in status.get("conditions", [])
        if condition.get("type") == "ContainersReady"
    ]
    return times[0] if times else default


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


def _sentence(name: str, terminated: Json) -> str:
    reason = f" ({terminated['reason']})" if terminated.get("reason") not in (None, "", "Error", "Completed") else ""
    message = f": {terminated['message'].strip()}" if terminated.get("message") else ""
    return f"[{name}] terminated with exit code ({terminated['exitCode']}){reason}{message}"


def _container(pod: Json, name: str) -> Json | None:
    found: list[Json] = pod["status"].get("containerStatuses", [])
    return next((container for container in found if container["name"] == name), None)


def _system(code: str, message: str) -> Failure:
    return Failure(code, message, FailureKind.SYSTEM, recoverable=True)


def _time(text: Any, default: datetime) -> datetime:
    return datetime.fromisoformat(text) if isinstance(text, str) else default
