"""What goes wrong between a declaration and the platform."""

from __future__ import annotations

from flyteform.errors import ConflictError, DefinitionError, FlyteformError


class DeclarationError(DefinitionError):
    """The declaration contradicts itself, or names what does not exist."""


class StateError(FlyteformError):
    """The record of what we own cannot be read or written."""

    code = "State"


class StateLockedError(ConflictError):
    """Another apply is at work on the same state."""

    code = "StateLocked"


class StalePlanError(ConflictError):
    """The platform or the state has changed since the plan was saved."""

    code = "StalePlan"
