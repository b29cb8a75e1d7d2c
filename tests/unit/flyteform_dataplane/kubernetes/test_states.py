"""What pods' statuses mean."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flyteform_dataplane.engine.failures import FailureKind
from flyteform_dataplane.kubernetes.profile import GracePeriods
from flyteform_dataplane.kubernetes.states import Ended, Failed, Running, Waiting, state_of
from flyteform_dataplane.ports import AttemptPhase
from support.pods import ended, status, waiting

if TYPE_CHECKING:
    from flyteform_dataplane.kubernetes.states import PodState
    from support.pods import Json

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
GRACE = GracePeriods()


def judged(pod: Json, after: float = 0.0) -> PodState:
    """Judge the pod some minutes after its creation."""
    return state_of(pod, GRACE, CREATED + timedelta(minutes=after))


def failed(pod: Json, after: float = 0.0) -> tuple[str, FailureKind, bool]:
    """Return code, kind and whether another attempt may follow."""
    state = judged(pod, after)
    assert isinstance(state, Failed), state
    return state.failure.code, state.failure.kind, state.failure.recoverable


def test_success_is_an_end() -> None:
    """What its attempt left decides what a clean end means."""
    assert isinstance(judged(status("Succeeded", ended())), Ended)


def test_an_error_is_an_end_with_its_code() -> None:
    """A program that fails says why by its files first: the pod tells only its exit code."""
    state = judged(status("Failed", ended(code=3, reason="Error", message="no such file")))
    assert isinstance(state, Ended)
    assert state.exit_code == 3
    assert "[main] terminated with exit code (3): no such file" in state.message


def test_memory() -> None:
    """Too much memory is the user's, and another attempt may follow."""
    assert failed(status("Failed", ended(code=137, reason="OOMKilled"))) == ("OOMKilled", FailureKind.USER, True)
    assert failed(status("Succeeded", ended(code=0, reason="OOMKilled")))[0] == "OOMKilled"


@pytest.mark.parametrize("code", [137, 143])
def test_a_killed_container_was_interrupted(code: int) -> None:
    """Who is killed without having asked for it costs the user no retry."""
    assert failed(status("Failed", ended(code=code, reason="Error"))) == ("Interrupted", FailureKind.SYSTEM, True)


@pytest.mark.parametrize("reason", ["Shutdown", "Evicted", "NodeLost", "Preempting"])
def test_nodes_that_go_away(reason: str) -> None:
    """What happens to the node is the platform's."""
    pod = status("Failed", ended(code=1), reason=reason, message="the node is shutting down")
    assert failed(pod) == ("Interrupted", FailureKind.SYSTEM, True)


def test_kubernetes_own_word_goes_first() -> None:
    """A pod that was disrupted is not judged by what its containers made of it."""
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "room"}
    pod = status("Failed", ended(code=1, reason="Error"), conditions=[condition])
    assert failed(pod) == ("Interrupted", FailureKind.SYSTEM, True)


def test_a_pod_whose_node_is_silent() -> None:
    """Nobody knows what became of it, which is the platform's."""
    assert failed(status("Unknown"))[1] is FailureKind.SYSTEM


def test_an_image_may_come_later() -> None:
    """Its absence is borne for three minutes, and then another attempt may follow."""
    pod = status("Pending", waiting("ImagePullBackOff", "no such image"))
    state = judged(pod, after=2)
    assert isinstance(state, Waiting)
    assert state.look_again == CREATED + timedelta(minutes=3)
    assert failed(pod, after=3) == ("ContainersNotReady|ImagePullBackOff", FailureKind.USER, True)


@pytest.mark.parametrize("reason", ["InvalidImageName", "CreateContainerConfigError"])
def test_what_never_mends_fails_at_once(reason: str) -> None:
    """No other attempt would do better."""
    assert failed(status("Pending", waiting(reason, "wrong"))) == (
        f"ContainersNotReady|{reason}",
        FailureKind.USER,
        False,
    )


def test_a_code_says_why_the_pod_is_not_ready() -> None:
    """Kubernetes' own word for it, where it has said one, before the container's."""
    condition = {
        "type": "ContainersReady",
        "status": "False",
        "reason": "Odd",
        "lastTransitionTime": "2026-01-01T00:05:00Z",
    }
    pod = status("Pending", waiting("ImagePullBackOff"), conditions=[condition])
    assert isinstance(judged(pod, after=7), Waiting)
    assert failed(pod, after=8)[0] == "Odd|ImagePullBackOff"


def test_a_pod_without_room_waits() -> None:
    """It says why, and without a limit it waits for ever."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    state = judged(status("Pending", conditions=[condition]), after=10_000)
    assert state == Waiting("Unschedulable: 0/3 nodes", phase=AttemptPhase.QUEUED)


def test_what_a_pod_waits_for_is_what_flyte_says() -> None:
    """For a node, which is usual for a moment; for its containers; or for something that is wrong with one of them."""
    condition = {"type": "PodScheduled", "status": "False", "lastTransitionTime": "2026-01-01T00:01:00Z"}
    soon = Waiting("Unschedulable", CREATED + timedelta(seconds=70), AttemptPhase.QUEUED, usual=True)
    assert judged(status("Pending", conditions=[condition]), after=1) == soon
    assert judged(status("Pending", conditions=[condition]), after=70 / 60) == replace(
        soon, look_again=None, usual=False
    )
    assert judged(status("Pending")) == Waiting("it waits for a node", phase=AttemptPhase.QUEUED, usual=True)
    there = [{"type": "PodScheduled", "status": "True"}]
    made = Waiting("its containers are being made", usual=True)
    assert judged(status("Pending", waiting("ContainerCreating"), conditions=there)) == made
    stuck = judged(status("Pending", waiting("ImagePullBackOff", "no such image"), conditions=there))
    assert isinstance(stuck, Waiting)
    assert (stuck.phase, stuck.usual) == (AttemptPhase.INITIALIZING, False)


def test_patience_counts_also_for_what_is_usual() -> None:
    """A pod is looked at when there may be something to say of it, or when its time is over."""
    condition = {"type": "PodScheduled", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    for limit, again in ((5, 5), (60, 10)):
        state = state_of(
            status("Pending", conditions=[condition]), GracePeriods(pending=timedelta(seconds=limit)), CREATED
        )
        assert isinstance(state, Waiting)
        assert state.look_again == CREATED + timedelta(seconds=again)


@pytest.mark.parametrize("kind", ["secret", "configmap"])
def test_what_is_missing_is_named_with_what_to_do(kind: str) -> None:
    """It is the user's and final, as in Flyte; the message says what is not there, and where it should be."""
    pod = status("Pending", waiting("CreateContainerConfigError", f'{kind} "tokens" not found'))
    pod["metadata"]["namespace"] = "flytesnacks-development"
    state = judged(pod)
    assert isinstance(state, Failed)
    assert (state.failure.kind, state.failure.recoverable) == (USER, False)
    assert state.failure.message == (
        f'CreateContainerConfigError: {kind} "tokens" not found; make that {kind} in namespace '
        "flytesnacks-development, or correct its name in the task's pod"
    )


def test_patience_with_pending_pods_may_end() -> None:
    """With a limit a pod that never starts fails, as the platform has no room."""
    pod = status("Pending")
    state = state_of(pod, GracePeriods(pending=timedelta(minutes=5)), CREATED + timedelta(minutes=5))
    assert isinstance(state, Failed)
    assert (state.failure.code, state.failure.kind) == ("PodPendingTimeout", FailureKind.SYSTEM)


def test_a_sidecar_does_not_keep_an_attempt_alive() -> None:
    """The end of the primary container is the attempt's, whoever else still runs."""
    sidecar = {"name": "logger", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    assert isinstance(judged(status("Running", ended(), sidecar)), Ended)
    assert isinstance(judged(status("Running", sidecar, waiting("ContainerCreating"))), Running)


def test_a_failing_sidecar_fails_nobody() -> None:
    """An attempt whose primary container ended well has ended well."""
    state = judged(status("Failed", ended(), ended("logger", code=1)))
    assert isinstance(state, Ended)
    assert state.exit_code == 0


def test_a_failing_init_container_is_told() -> None:
    """The pod's end names it."""
    pod = status("Failed", initContainerStatuses=[ended("fetch", code=2, message="no bucket")])
    state = judged(pod)
    assert isinstance(state, Failed)
    assert "[fetch] terminated with exit code (2): no bucket" in state.failure.message


DISRUPTED = {"type": "DisruptionTarget", "status": "True", "message": "m"}
USER, SYSTEM = FailureKind.USER, FailureKind.SYSTEM
INIT = {"initContainerStatuses": [ended("fetch", code=137, reason="OOMKilled")]}
KILLED_INIT = {"initContainerStatuses": [ended("fetch", code=137, reason="Error")]}

# How every way of failing is judged: code, whose fault it is, and whether another attempt may follow.
FAILURES: dict[str, tuple[Json, tuple[str, FailureKind, bool]]] = {
    "memory": (status("Failed", ended(code=137, reason="OOMKilled")), ("OOMKilled", USER, True)),
    "memory of a child": (status("Failed", ended(code=1, reason="OOMKilled")), ("OOMKilled", USER, True)),
    "memory, but success": (status("Succeeded", ended(reason="OOMKilled")), ("OOMKilled", USER, True)),
    "memory of what runs first": (status("Failed", **INIT), ("OOMKilled", USER, True)),
    "kill": (status("Failed", ended(code=137, reason="Error")), ("Interrupted", SYSTEM, True)),
    "termination": (status("Failed", ended(code=143, reason="Error")), ("Interrupted", SYSTEM, True)),
    "kill of what runs first": (status("Failed", **KILLED_INIT), ("Interrupted", SYSTEM, True)),
    "eviction": (status("Failed", reason="Evicted", message="disk pressure"), ("Interrupted", SYSTEM, True)),
    **{
        f"eviction for its own: {message}": (
            status("Failed", reason="Evicted", message=message),
            ("Evicted", USER, True),
        )
        for message in (
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
            'Container main exceeded its local ephemeral storage limit "1Gi". ',
            'Usage of EmptyDir volume "flyte-shared-memory" exceeds the limit "1Gi". ',
        )
    },
    "node shutdown": (status("Failed", ended(code=137), reason="Shutdown"), ("Interrupted", SYSTEM, True)),
    "node shutdown, newer": (status("Failed", reason="Terminated"), ("Interrupted", SYSTEM, True)),
    "node shutdown, older": (status("Failed", reason="NodeShutdown"), ("Interrupted", SYSTEM, True)),
    "node lost": (status("Failed", reason="NodeLost"), ("Interrupted", SYSTEM, True)),
    "node silent": (status("Unknown"), ("Interrupted", SYSTEM, True)),
    "node of another kind": (status("Failed", reason="NodeAffinity"), ("Interrupted", SYSTEM, True)),
    "node full": (status("Failed", reason="OutOfcpu"), ("Interrupted", SYSTEM, True)),
    "node without memory": (status("Failed", reason="OutOfmemory"), ("Interrupted", SYSTEM, True)),
    "node without GPUs": (status("Failed", reason="OutOfnvidia.com/gpu"), ("Interrupted", SYSTEM, True)),
    "node not admitting": (status("Failed", reason="UnexpectedAdmissionError"), ("Interrupted", SYSTEM, True)),
    "preemption": (status("Failed", ended(code=1), reason="Preempting"), ("Interrupted", SYSTEM, True)),
    **{
        f"disruption: {reason}": (
            status("Failed", ended(code=1), conditions=[{**DISRUPTED, "reason": reason}]),
            ("Interrupted", SYSTEM, True),
        )
        for reason in (
            "PreemptionByScheduler",
            "DeletionByTaintManager",
            "EvictionByEvictionAPI",
            "DeletionByPodGC",
            "TerminationByKubelet",
        )
    },
    "the pod's own deadline": (
        status("Failed", ended(code=143), reason="DeadlineExceeded", message="too long"),
        ("DeadlineExceeded", USER, True),
    ),
    "copying in": (
        status("Failed", initContainerStatuses=[ended("flyte-copilot-downloader", code=139)]),
        ("CopyingFailed", SYSTEM, True),
    ),
    "copying out": (
        status("Failed", ended(), ended("flyte-copilot-uploader", code=137, reason="OOMKilled")),
        ("CopyingFailed", SYSTEM, True),
    ),
    "nothing known": (status("Failed"), ("UnknownError", USER, True)),
    "another reason": (status("Failed", reason="Odd", message="m"), ("Odd", USER, True)),
    "image name": (
        status("Pending", waiting("InvalidImageName")),
        ("ContainersNotReady|InvalidImageName", USER, False),
    ),
    "image never pulled": (
        status("Pending", waiting("ErrImageNeverPull")),
        ("ContainersNotReady|ErrImageNeverPull", USER, False),
    ),
    "image missing": (
        status("Pending", waiting("ImagePullBackOff")),
        ("ContainersNotReady|ImagePullBackOff", USER, True),
    ),
    "image missing, of what runs first": (
        status("Pending", initContainerStatuses=[waiting("ImagePullBackOff", name="fetch")]),
        ("ContainersNotReady|ImagePullBackOff", USER, True),
    ),
    "container not made": (
        status("Pending", waiting("CreateContainerError")),
        ("ContainersNotReady|CreateContainerError", USER, False),
    ),
    "container not run": (
        status("Pending", waiting("RunContainerError")),
        ("ContainersNotReady|RunContainerError", USER, False),
    ),
    "container's settings": (
        status("Pending", waiting("CreateContainerConfigError")),
        ("ContainersNotReady|CreateContainerConfigError", USER, False),
    ),
    "container unlike others": (status("Pending", waiting("OddError")), ("ContainersNotReady|OddError", SYSTEM, True)),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_every_way_of_failing(failure: str) -> None:
    """Ten minutes after the beginning, when all patience is over."""
    pod, expected = FAILURES[failure]
    assert failed(pod, after=10) == expected


@pytest.mark.parametrize("code", [1, 2, 126, 127, 134, 139, 255])
def test_other_exit_codes_are_the_programs_own(code: int) -> None:
    """What a program leaves decides what they mean, and without anything they cost a retry."""
    state = judged(status("Failed", ended(code=code, reason="Error")))
    assert isinstance(state, Ended)
    assert state.exit_code == code


@pytest.mark.parametrize(
    "reason", ["ContainerCreating", "PodInitializing", "ErrImagePull", "ImagePullBackOff", "CreateContainerError"]
)
def test_what_may_mend_itself_is_waited_for(reason: str) -> None:
    """Two minutes after the beginning none of these is a failure."""
    assert isinstance(judged(status("Pending", waiting(reason)), after=2), Waiting)


def test_a_pod_that_was_told_to_go_may_still_end() -> None:
    """It has its grace period and a minute; if it ends by itself meanwhile, that counts."""
    going = {"deletionTimestamp": "2026-01-01T00:01:00Z"}
    running = status("Running", {"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}})
    running["metadata"] |= going
    assert judged(running, after=1.5) == Running(CREATED, CREATED + timedelta(minutes=2))
    assert failed(running, after=2) == ("Interrupted", FailureKind.SYSTEM, True)
    done = status("Succeeded", ended())
    done["metadata"] |= going
    assert isinstance(judged(done, after=5), Ended)


@pytest.mark.parametrize(("deleted", "interrupted"), [("00:00:30", True), ("00:00:31", False), (None, False)])
def test_whatever_a_program_says_that_was_told_to_go(deleted: str | None, interrupted: bool) -> None:
    """Its pod was deleted thirty seconds before that moment: who ends then or later makes no mistake of its own."""
    pod = status("Failed", ended(code=241, reason="Error"))
    if deleted is not None:
        pod["metadata"] |= {"deletionTimestamp": f"2026-01-01T{deleted}Z", "deletionGracePeriodSeconds": 30}
    if interrupted:
        assert failed(pod) == ("Interrupted", FailureKind.SYSTEM, True)
    else:
        assert isinstance(judged(pod), Ended)


def test_an_image_of_a_container_beside_is_no_failure_of_the_primary_one() -> None:
    """Who runs is not judged by who does not."""
    main = {"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    assert isinstance(judged(status("Running", main, waiting("ImagePullBackOff", name="logger")), after=10), Running)
