"""The state of a stack: what the engine remembers of every resource, in a file that is written after each step."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from support.pulumi.wire import unveiled, veiled

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Saved:
    """One resource."""

    urn: str
    type: str
    id: str = ""
    custom: bool = True
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    dependencies: list[str] = field(default_factory=list)
    provider: str = ""
    protect: bool = False
    init_errors: list[str] = field(default_factory=list)
    delete: bool = False
    deleted_with: str = ""

    @property
    def name(self) -> str:
        """The logical name."""
        return self.urn.rpartition("::")[2]


class State:
    """All resources, those that others depend on first."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.resources: list[Saved] = []
        if path is not None and path.is_file():
            self.resources = [Saved(**unveiled(each)) for each in json.loads(path.read_text())]

    def find(self, urn: str) -> Saved | None:
        """Return what is known of a resource."""
        return next((each for each in self.resources if each.urn == urn and not each.delete), None)

    def put(self, saved: Saved, *, replacing: Saved | None = None) -> None:
        """Remember a resource, in place of what was known of it."""
        if replacing is not None and replacing in self.resources:
            self.resources[self.resources.index(replacing)] = saved
        else:
            self.resources.append(saved)

    def drop(self, saved: Saved) -> None:
        """Forget a resource."""
        self.resources = [each for each in self.resources if each is not saved]

    def save(self) -> None:
        """Write the file as a whole."""
        if self.path is not None:
            aside = self.path.with_suffix(".new")
            aside.write_text(json.dumps([veiled(asdict(each)) for each in self.resources], indent=1))
            os.replace(aside, self.path)  # noqa: PTH105 - what a kill in between leaves is the old file
