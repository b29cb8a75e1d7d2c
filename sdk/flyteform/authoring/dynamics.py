"""`@dynamic`: a task that makes nodes while it runs, from values that it knows by then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

from flyteform.authoring.tasks import PythonTask, task

if TYPE_CHECKING:
    from collections.abc import Callable


@overload
def dynamic(fn: Callable[..., Any], /) -> PythonTask: ...
@overload
def dynamic(**settings: Any) -> Callable[[Callable[..., Any]], PythonTask]: ...


def dynamic(
    fn: Callable[..., Any] | None = None, /, **settings: Any
) -> PythonTask | Callable[[Callable[..., Any]], PythonTask]:
    """Declare a function as a task whose calls become nodes: `@dynamic`, or `@dynamic(retries=2, …)` as `@task`.

    It runs with real values, so that loops and `if` may depend on its inputs; what its calls return are promises.
    """
    if fn is not None:
        return replace(task(fn), dynamic=True)
    declare = task(**settings)
    return lambda fn: replace(declare(fn), dynamic=True)
