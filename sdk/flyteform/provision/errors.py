"""What goes wrong between a declaration and the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.errors import ConflictError, DefinitionError, FlyteformError

if TYPE_CHECKING:
    from flyteform.provision.ports import Holder


class DeclarationError(DefinitionError):
    """The declaration contradicts itself, or names what does not exist."""


class StateError(FlyteformError):
    """The record of what we own cannot be read or written."""

    code = "State"


class StateLockedError(ConflictError):
    """Another apply is at work on the same state; `holder` says whose."""

    code = "StateLocked"

    def __init__(self, location: str, holder: Holder, *, remedy: str | None = None) -> None:
        super().__init__(
            f"the state {location} is held by {holder}",
            remedy=remedy or "wait for it (--lock-timeout 10m); if it is dead: flyteform state unlock",
        )
        self.holder = holder


class StateLostError(ConflictError):
    """Somebody else has taken over the state while an apply was at work on it."""

    code = "StateLost"

    def __init__(self, location: str) -> None:
        super().__init__(
            f"the state {location} was taken over by another apply: this one writes nothing more",
            remedy="see what the other one does, then plan again",
        )


class StalePlanError(ConflictError):
    """The platform or the state has changed since the plan was saved."""

    code = "StalePlan"


class PlanRefusedError(ConflictError):
    """A plan breaks callers that nobody has allowed to break, or a policy denies it."""

    code = "PlanRefused"


class PolicyError(DefinitionError):
    """A policy cannot be loaded, or fails itself: nobody can say what it would have said."""

    code = "Policy"
