"""What calling an entity does: a node where a workflow is declared, a run in this process elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform.authoring import local, places, tracing
from flyteform.errors import InvalidInputError, TaskFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.authoring.entity import Entity
    from flyteform.authoring.references import ReferenceEntity


def call(entity: Entity | ReferenceEntity, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Add a node, or run the entity and return its outputs as its function would.

    Run in this process, an exception of the user's code comes out as it is.
    """
    if tracing.active():
        return tracing.add_node(entity, args, kwargs)
    inputs = _named(entity, args, kwargs)
    try:
        return entity.interface.joined(local.run(entity, inputs))
    except TaskFailedError as error:
        raise error.failure  # noqa: B904 - the user's own exception, with the traceback and cause that it has


def _named(entity: Entity | ReferenceEntity, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = [one.name for one in entity.interface.inputs]
    if len(args) > len(names):
        raise InvalidInputError(
            f"{places.of_caller()}: {entity.subject} takes {len(names)} inputs, but {len(args)} were given"
        )
    named = dict(zip(names, args, strict=False))
    twice = next((name for name in named if name in kwargs), None)
    if twice is not None:
        raise InvalidInputError(f"{places.of_caller()}: {entity.subject} got the input {twice!r} twice")
    return named | dict(kwargs)
