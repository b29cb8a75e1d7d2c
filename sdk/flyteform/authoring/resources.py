"""What a task asks of the machine that runs it."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from flyteform.errors import DefinitionError

# Kubernetes' resource.Quantity: a number with a binary, decimal or exponent suffix.
_QUANTITY = re.compile(r"\d+(\.\d+)?([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Resources:
    """Amounts as Kubernetes writes them: `cpu="500m"`, `mem="2Gi"`, `gpu="1"`; numbers are taken as text."""

    cpu: str | float | None = None
    mem: str | int | None = None
    gpu: str | int | None = None
    ephemeral_storage: str | int | None = None

    def __post_init__(self) -> None:
        """Turn the amounts into text; refuse what is no quantity."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            text = str(value)
            if isinstance(value, bool) or not _QUANTITY.fullmatch(text):
                raise DefinitionError(
                    f"Resources({field.name}={value!r}): this is no quantity",
                    remedy='write for example "500m" or "2Gi"',
                )
            object.__setattr__(self, field.name, text)

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return the amounts that are set, by name, in the order of their declaration."""
        return tuple((f.name, str(getattr(self, f.name))) for f in fields(self) if getattr(self, f.name) is not None)
