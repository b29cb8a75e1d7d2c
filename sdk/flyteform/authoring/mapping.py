"""`map_task`: one task run for each item of a list."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional

from flyteform.authoring import places
from flyteform.authoring.interface import REQUIRED, Input, Interface, Output, suggestion
from flyteform.authoring.tasks import PythonTask
from flyteform.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, eq=False)
class MapTask:
    """A task that runs once for each item of its list inputs.

    `bound` inputs are the same for every item. `concurrency` is how many items run at once (None: the platform's
    choice, 0: all). With `min_successes` or `min_success_ratio` items may fail, and their outputs are None; with
    `run_all_sub_nodes` the others go on when too many have.
    """

    task: PythonTask
    bound: tuple[tuple[str, Any], ...] = ()
    concurrency: int | None = None
    min_successes: int | None = None
    min_success_ratio: float | None = None
    run_all_sub_nodes: bool = False

    @property
    def tolerant(self) -> bool:
        """Whether items may fail."""
        return self.min_successes is not None or self.min_success_ratio is not None

    @property
    def bound_names(self) -> tuple[str, ...]:
        """Names of the inputs that every item gets whole."""
        return tuple(name for name, _ in self.bound)

    @property
    def short_name(self) -> str:
        """The mapped function's name, and what tells this interface from others of the same function."""
        variant = ",".join(self.bound_names) + ("?" if self.tolerant else "")
        if not variant:
            return f"map_{self.task.function_name}"
        import hashlib

        return f"map_{self.task.function_name}_{hashlib.sha256(variant.encode()).hexdigest()[:8]}"

    @property
    def name(self) -> str:
        """The name under which it is registered."""
        return f"{self.task.module}.{self.short_name}"

    @property
    def module(self) -> str:
        """The module of the mapped task."""
        return self.task.module

    @property
    def fn(self) -> Callable[..., Any]:
        """The mapped task's function."""
        return self.task.fn

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"map task {self.name}"

    @property
    def place(self) -> str:
        """Where the mapped task is declared."""
        return self.task.place

    @functools.cached_property
    def interface(self) -> Interface:
        """The task's interface with lists for all but the bound inputs."""
        inputs = tuple(
            one if one.name in self.bound_names else Input(one.name, _list_of(one.python_type), REQUIRED)
            for one in self.task.interface.inputs
        )
        outputs = tuple(
            Output(one.name, _list_of(one.python_type, optional=self.tolerant)) for one in self.task.interface.outputs
        )
        return Interface(inputs=inputs, outputs=outputs)

    def needed(self, items: int) -> int:
        """Return how many of that many items have to succeed."""
        if self.min_successes is not None:
            return min(self.min_successes, items)
        return math.ceil(self.min_success_ratio * items) if self.min_success_ratio is not None else items

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a node to the workflow being declared, or run the items one after the other."""
        from flyteform.authoring.calls import call

        twice = next((name for name in kwargs if name in self.bound_names), None)
        if twice is not None:
            raise DefinitionError(f"{places.of_caller()}: {self.subject}: the input {twice!r} is bound already")
        return call(self, args, dict(self.bound) | kwargs)

    def __repr__(self) -> str:
        """Name it."""
        return f"<map task {self.name}>"


def map_task(
    target: PythonTask | functools.partial[Any],
    /,
    concurrency: int | None = None,
    min_success_ratio: float | None = None,
    min_successes: int | None = None,
    *,
    run_all_sub_nodes: bool = False,
) -> MapTask:
    """Return a task that runs `target` for each item of lists: `map_task(train)(rate=rates)`.

    Inputs that are the same for all items are bound with `functools.partial(train, data=data)`. `concurrency` 0 runs
    all at once, `min_success_ratio` lies between 0 and 1; with `run_all_sub_nodes` all items run though the map has
    failed already. Raises `DefinitionError` for a task that cannot be mapped.
    """
    place = places.of_caller()
    bound: dict[str, Any] = {}
    inner: Any = target
    while isinstance(inner, functools.partial):
        if inner.args:
            raise DefinitionError(f"{place}: map_task: bind inputs by name", remedy="partial(task, name=value)")
        bound = dict(inner.keywords) | bound
        inner = inner.func
    if not isinstance(inner, PythonTask):
        raise DefinitionError(
            f"{place}: map_task takes a task, not {inner!r}", remedy="decorate the function with @task"
        )
    _check_target(inner, bound, place)
    _check_counts(concurrency, min_success_ratio, min_successes, place)
    counts = (concurrency, min_successes, min_success_ratio)
    return MapTask(inner, tuple(sorted(bound.items())), *counts, run_all_sub_nodes)


def _list_of(python_type: Any, *, optional: bool = False) -> Any:
    return list.__class_getitem__(Optional[python_type] if optional else python_type)  # noqa: UP045 - a runtime value


def _check_target(task: PythonTask, bound: dict[str, Any], place: str) -> None:
    if task.dynamic:
        raise DefinitionError(
            f"{place}: map_task: {task.subject} is dynamic: an item of a map cannot make nodes",
            remedy="call it in a loop of another dynamic task",
        )
    if len(task.interface.outputs) > 1:
        raise DefinitionError(f"{place}: map_task: {task.subject} has several outputs", remedy="return one dataclass")
    for name in bound:
        if name not in task.interface.inputs_by_name:
            hint = suggestion(name, task.interface.inputs_by_name)
            raise DefinitionError(f"{place}: map_task: {task.subject} has no input {name!r}{hint}")
    if len(bound) == len(task.interface.inputs):
        raise DefinitionError(f"{place}: map_task: {task.subject} has no input left to map over")


def _check_counts(concurrency: int | None, ratio: float | None, successes: int | None, place: str) -> None:
    if concurrency is not None and concurrency < 0:
        raise DefinitionError(f"{place}: map_task: concurrency={concurrency} is no count", remedy="give 0 or more")
    if ratio is not None and not 0 <= ratio <= 1:
        raise DefinitionError(f"{place}: map_task: min_success_ratio={ratio} is no share", remedy="give 0 to 1")
    if successes is not None and successes < 0:
        raise DefinitionError(f"{place}: map_task: min_successes={successes} is no count", remedy="give 0 or more")
    if ratio is not None and successes is not None:
        raise DefinitionError(f"{place}: map_task: give min_successes or min_success_ratio, not both")
