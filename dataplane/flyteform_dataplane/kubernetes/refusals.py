"""What it means that the API server does not take a pod: it may later, or it never will, and whose fault that is."""

from __future__ import annotations

import re

from flyteform.errors import FlyteformError, InvalidInputError
from flyteform_dataplane.engine.failures import Failure, FailureKind
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.kubernetes.api import ForbiddenError, TooLargeError
from flyteform_dataplane.plugins.resources import parse_quantity

# Kubernetes' words for a namespace that is full. How much of it is used changes all the time and is not told.
_FULL = re.compile(r"exceeded quota: (?P<name>[^,\s]+), requested: (?P<wanted>\S+), used: \S+, limited: (?P<limit>\S+)")
_FULL_SOMEHOW = "exceeded quota"
# A quota that was made just now has not been counted yet.
_UNCOUNTED = "status unknown for quota"
_NO_ACCOUNT = "error looking up service account"
# The role of whoever makes pods lacks something. What guards a namespace (pod security, a webhook) has other words.
_NO_RIGHT = re.compile(r'User ".*" cannot create resource "pods"')
_COMPUTE = ("requests.", "limits.", "cpu", "memory", "ephemeral-storage")


class NoRoomError(FlyteformError):
    """The namespace has no room for the pod now."""

    code = "NoRoom"
    retryable = True


class NoRightError(FlyteformError):
    """The operator has no right to make pods in the namespace: whoever runs the cluster may give it."""

    code = "NoRight"
    retryable = True


class ComingError(FlyteformError):
    """The pod's service account is not there: it may be about to be made, with its namespace."""

    code = "Coming"
    retryable = True

    def __init__(self, refusal: ForbiddenError) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal  # what it is if nothing comes


class BusyError(FlyteformError):
    """Others were faster, as many pods that are made at once are counted by the same quota, or a pod has just gone."""

    code = "Busy"
    retryable = True


class NeverFitsError(FlyteformError):
    """The pod alone is larger than all that its namespace may have."""

    code = "ResourceRequestsExceedLimits"


def weighed(error: ForbiddenError, namespace: str) -> FlyteformError:
    """Return what a refusal means: the same error where nobody waits for anything."""
    full = _FULL.search(error.message)
    if full is not None:
        told = f"quota {full['name']}, requested: {full['wanted']}, limited: {full['limit']}"
        if _never_fits(_amounts(full["wanted"]), _amounts(full["limit"])):
            return NeverFitsError(f"the task asks for more than all that namespace {namespace} may have: {told}")
        return NoRoomError(f"namespace {namespace} has no room for the pod: exceeded {told}")
    if _FULL_SOMEHOW in error.message or _UNCOUNTED in error.message:
        return NoRoomError(f"namespace {namespace} has no room for the pod: {error.message}")
    if _NO_ACCOUNT in error.message:
        return ComingError(error)
    if _NO_RIGHT.search(error.message):
        return NoRightError(f"this data plane has no right to make pods in namespace {namespace}: {error.message}")
    return error


def failure_of(error: FlyteformError) -> Failure:
    """Return how an attempt fails whose pod cannot be made. Codes are Flyte's where it has one."""
    match error:
        case UserError() | NeverFitsError():
            return Failure(error.code, error.message)
        case ForbiddenError():
            # What guards the namespace may think otherwise of another attempt, as Flyte has it.
            return Failure("RuntimeFailure", error.message, recoverable=True)
        case TooLargeError():
            return Failure("EntityTooLarge", error.message)
        case InvalidInputError():
            return Failure("BadTaskSpecification", error.message)
        case _:
            message = f"the pod cannot be made: {error.message}"
            return Failure(error.code, message, FailureKind.SYSTEM, recoverable=True)


def _amounts(text: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)


def _never_fits(wanted: dict[str, str], limit: dict[str, str]) -> bool:
    """Whether one resource alone is more than its limit; nothing at all is a limit that is meant for a while."""
    names = [name for name in wanted.keys() & limit.keys() if name.startswith(_COMPUTE)]
    try:
        return any(0 < parse_quantity(limit[name]) < parse_quantity(wanted[name]) for name in names)
    except UserError:
        return False
