"""Which resources one run of a program has declared: what several workflows call is one resource."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from pulumi.runtime import settings

if TYPE_CHECKING:
    from flyteform.provision.model import Kind

Declared = TypeVar("Declared")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entity goes: the provider, and project and domain as they were given (None for its defaults).

    `project_id` is the property: the output of the project's own resource where the program declares it.
    """

    provider: Any = None
    project: Any = None
    domain: Any = None
    project_id: Any = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Tell places apart: texts by what they say, what is known later by what it is."""
        return tuple(each if isinstance(each, str) else id(each) for each in (self.provider, self.project, self.domain))

    def name_of(self, owner: str, name: str) -> str:
        """Return a logical name for what nobody named; `owner` is part of it where the place is not known."""
        if all(each is None or isinstance(each, str) for each in (self.project, self.domain)):
            return "/".join(filter(None, (self.project, self.domain, name)))
        return f"{owner}/{name}"


class Registry(Generic[Declared]):
    """The resources of the program that runs, by what they stand for."""

    def __init__(self) -> None:
        # One process may run several programs, each with a connection of its own.
        self._runs: WeakKeyDictionary[Any, dict[tuple[Any, ...], tuple[Place, Declared]]] = WeakKeyDictionary()

    def find(self, place: Place, kind: Kind, name: str) -> Declared | None:
        """Return what was declared, None if nothing was."""
        found = self._run().get((*place.key, kind, name))
        return None if found is None else found[1]

    def add(self, place: Place, kind: Kind, name: str, resource: Declared) -> None:
        """Note what is declared; the place is kept too, as its parts are told apart by their identity."""
        self._run()[(*place.key, kind, name)] = (place, resource)

    def _run(self) -> dict[tuple[Any, ...], tuple[Place, Declared]]:
        return self._runs.setdefault(settings.get_monitor(), {})
