"""What an operation of the engine did, for tests to look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class EngineError(Exception):
    """An operation failed; the message has what every failed resource said."""


@dataclass(frozen=True)
class Step:
    """One resource and what happened to it: same, create, update, replace, delete, import, drop."""

    operation: str
    urn: str
    paths: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The logical name."""
        return self.urn.rpartition("::")[2]


@dataclass(frozen=True)
class Message:
    """What a provider or the program said."""

    severity: str
    text: str
    urn: str


@dataclass
class Result:
    """One operation: its steps, what was said, what failed by URN, and the stack's outputs."""

    steps: list[Step] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    program: str = ""

    def operations(self) -> dict[str, str]:
        """Return what happened to resources that did not stay the same, by logical name."""
        return {step.name: step.operation for step in self.steps if step.operation != "same"}

    def step(self, name: str) -> Step:
        """Return the step of one resource."""
        return next(step for step in self.steps if step.name == name)

    @property
    def said(self) -> str:
        """All messages as one text."""
        return "\n".join(message.text for message in self.messages)

    def check(self) -> Result:
        """Raise `EngineError` if anything failed."""
        if self.errors or self.program:
            raise EngineError("\n".join(f"{urn}: {text}" for urn, text in self.errors.items()) or self.program)
        return self
