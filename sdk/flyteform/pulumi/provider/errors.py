"""What goes wrong between Pulumi's engine and the platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteform.errors import FlyteformError, InvalidInputError

if TYPE_CHECKING:
    from flyteform.pulumi.provider.values import Properties


class UnreadableInputError(InvalidInputError):
    """An input is not what its type says; `path` is the property, as Pulumi writes it."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Partial:
    """What there is of a resource of which not every step was taken."""

    id: str
    inputs: Properties
    outputs: Properties


class PartialError(FlyteformError):
    """A resource exists, but not all of it was done; the engine keeps it and asks for an update next time."""

    code = "Partial"

    def __init__(self, partial: Partial, error: FlyteformError) -> None:
        super().__init__(error.message, remedy=error.remedy)
        self.partial = partial
