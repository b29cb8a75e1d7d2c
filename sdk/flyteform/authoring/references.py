"""What is registered on a platform already, called from here by its name and version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from flyteform.authoring import places
from flyteform.authoring.interface import Interface, interface_of
from flyteform.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

Kind = Literal["task", "workflow", "launch plan"]


@dataclass(frozen=True, eq=False)
class ReferenceEntity:
    """A registered task, workflow or launch plan, with the interface that it is believed to have.

    Calling it in a workflow adds a node. The platform refuses a workflow that believes something wrong.
    """

    kind: Kind
    project: str
    domain: str
    name: str
    version: str
    interface: Interface
    place: str

    @property
    def short_name(self) -> str:
        """The last part of its name."""
        return self.name.rpartition(".")[2]

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"registered {self.kind} {self.name}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a node to the workflow being declared; elsewhere it cannot run."""
        from flyteform.authoring.calls import call

        return call(self, args, kwargs)

    def __repr__(self) -> str:
        """Name it."""
        return f"<{self.subject}>"


def reference_task(
    project: str, domain: str, name: str, version: str
) -> Callable[[Callable[..., Any]], ReferenceEntity]:
    """Declare a function whose annotations are the interface of a registered task; its body never runs."""
    return _declare("task", project, domain, name, version)


def reference_workflow(
    project: str, domain: str, name: str, version: str
) -> Callable[[Callable[..., Any]], ReferenceEntity]:
    """Declare a function whose annotations are the interface of a registered workflow; its body never runs."""
    return _declare("workflow", project, domain, name, version)


def reference_launch_plan(
    project: str, domain: str, name: str, version: str
) -> Callable[[Callable[..., Any]], ReferenceEntity]:
    """Declare a function whose annotations are the interface of a registered launch plan; its body never runs."""
    return _declare("launch plan", project, domain, name, version)


def _declare(
    kind: Kind, project: str, domain: str, name: str, version: str
) -> Callable[[Callable[..., Any]], ReferenceEntity]:
    place = places.of_caller()
    parts: dict[str, Any] = {"project": project, "domain": domain, "name": name, "version": version}
    for part, value in parts.items():
        if not isinstance(value, str) or not value:
            raise DefinitionError(
                f"{place}: a registered {kind} needs a {part}, not {value!r}",
                remedy=f"name the {part} it is registered with",
            )

    def declare(fn: Callable[..., Any]) -> ReferenceEntity:
        return ReferenceEntity(kind, project, domain, name, version, interface_of(fn, kind), places.of_function(fn))

    return declare
