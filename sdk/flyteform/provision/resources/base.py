"""What every resource has: its declaration, and how it is treated."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flyteform.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST = 2**31


@dataclass(frozen=True, eq=False)
class Resource:
    """Something declared. Outside a plan (a local run, a test) declaring has no effect.

    `protect` refuses every plan that would take it out of use, also once it is no longer declared. `ignore_changes`
    names fields (`schedule`, `labels.team`, as plans show them) that keep the value which the platform has.
    `depends_on` are resources that are applied first. `moved` says which names it had before, so that a renamed
    resource follows what was there: `name`, or `project/domain/name`.
    """

    protect: bool = field(default=False, kw_only=True)
    ignore_changes: tuple[str, ...] = field(default=(), kw_only=True)
    depends_on: tuple[Resource, ...] = field(default=(), kw_only=True)
    moved: tuple[str, ...] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        """Check the options, and tell the plan that is loading the module, if there is one."""
        for name in ("ignore_changes", "depends_on", "moved"):
            given: Any = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str | Resource) else tuple(given))
        kind = type(self).__name__
        depends_on: tuple[Any, ...] = self.depends_on
        texts: tuple[Any, ...] = (*self.ignore_changes, *self.moved)
        if not all(isinstance(each, Resource) for each in depends_on):
            raise DefinitionError(f"{kind}: depends_on takes resources", remedy="give what Project(…) or the like made")
        if not all(isinstance(each, str) and each for each in texts):
            raise DefinitionError(
                f"{kind}: ignore_changes and moved take texts", remedy='write for example ["schedule"]'
            )
        collected = _collected.get()
        if collected is not None:
            collected.append(self)


def check_texts(kind: str, name: str, given: Any) -> None:
    """Refuse what is neither None nor texts by text; `DefinitionError` names the argument."""
    pairs = given.items() if isinstance(given, Mapping) else [(given, None)]
    if given is not None and not all(isinstance(each, str) for pair in pairs for each in pair):
        raise DefinitionError(f"{kind}: {name} takes texts by text", remedy=f'write {name}={{"key": "value"}}')


def check_count(kind: str, name: str, given: Any) -> None:
    """Refuse what is neither None nor a number from 0 on; `DefinitionError` names the argument."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < _LARGEST):
        raise DefinitionError(f"{kind}: {name}={given!r} is no number of executions or nodes")


def check_entity(kind: str, entity: Any) -> None:
    """Refuse what has no name and so cannot have been made by an SDK."""
    if not isinstance(getattr(entity, "name", None), str):
        raise DefinitionError(f"{kind} takes what @{kind.lower()} makes, not {entity!r}")


def is_flytekit(entity: object) -> bool:
    """Tell whether a definition was made with flytekit, or with a plugin of it; flytekit is not imported for that."""
    return any(each.__module__.partition(".")[0] == "flytekit" for each in type(entity).__mro__)


_collected: ContextVar[list[Resource] | None] = ContextVar("flyteform_declared_resources", default=None)


@contextmanager
def collecting() -> Iterator[list[Resource]]:
    """Gather what is declared while the block runs, in the order of declaration."""
    declared: list[Resource] = []
    token = _collected.set(declared)
    try:
        yield declared
    finally:
        _collected.reset(token)
