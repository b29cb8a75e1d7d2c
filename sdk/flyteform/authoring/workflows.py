"""`@workflow`: a function that joins tasks to a graph."""

from __future__ import annotations

import enum
import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

from flyteform.authoring import places
from flyteform.authoring.interface import Interface, interface_of
from flyteform.authoring.naming import module_name
from flyteform.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flyteform.authoring.graph import Binding, Graph, Node
    from flyteform.authoring.tasks import PythonTask


class WorkflowFailurePolicy(enum.Enum):
    """What happens to the other nodes when one has failed; the values are Flyte's names."""

    FAIL_IMMEDIATELY = "FAIL_IMMEDIATELY"
    FAIL_AFTER_EXECUTABLE_NODES_COMPLETE = "FAIL_AFTER_EXECUTABLE_NODES_COMPLETE"


@dataclass(frozen=True, eq=False)
class Workflow:
    """A graph of tasks, declared by a function that is run once, on promises, when the graph is first asked for.

    Calling it inside another workflow adds it there as a node; calling it elsewhere runs it in this process.
    """

    module: str
    function_name: str
    interface: Interface
    failure_policy: WorkflowFailurePolicy
    interruptible: bool | None
    description: str
    fn: Callable[..., Any]
    on_failure: PythonTask | Workflow | None = None

    def __post_init__(self) -> None:
        """Take over the function's docstring and signature for help() and editors."""
        object.__setattr__(self, "__doc__", self.fn.__doc__)
        object.__setattr__(self, "__wrapped__", self.fn)
        object.__setattr__(self, "__name__", self.function_name)

    @property
    def name(self) -> str:
        """The name under which it is registered: `<module>.<function>`."""
        return f"{self.module}.{self.function_name}"

    @property
    def short_name(self) -> str:
        """The function's name, by which nodes that run it are shown."""
        return self.function_name

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"workflow {self.name}"

    @property
    def place(self) -> str:
        """Where it is declared."""
        return places.of_function(self.fn)

    @cached_property
    def graph(self) -> Graph:
        """The nodes and what the outputs are bound to; `DefinitionError` names the line that is wrong."""
        from flyteform.authoring.tracing import trace

        return trace(self)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes, in the order in which they were called."""
        return self.graph.nodes

    @property
    def outputs(self) -> tuple[tuple[str, Binding], ...]:
        """What each output is bound to, by its name."""
        return self.graph.outputs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a node to the workflow being declared, or run this one."""
        from flyteform.authoring.calls import call

        return call(self, args, kwargs)

    def __repr__(self) -> str:
        """Name it."""
        return f"<workflow {self.name}>"


@overload
def workflow(fn: Callable[..., Any], /) -> Workflow: ...
@overload
def workflow(
    *,
    failure_policy: WorkflowFailurePolicy = WorkflowFailurePolicy.FAIL_IMMEDIATELY,
    interruptible: bool | None = None,
    on_failure: PythonTask | Workflow | None = None,
    docs: str | None = None,
) -> Callable[[Callable[..., Any]], Workflow]: ...


def workflow(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    failure_policy: WorkflowFailurePolicy = WorkflowFailurePolicy.FAIL_IMMEDIATELY,
    interruptible: bool | None = None,
    on_failure: PythonTask | Workflow | None = None,
    docs: str | None = None,
) -> Workflow | Callable[[Callable[..., Any]], Workflow]:
    """Declare a function as a workflow: `@workflow`, or `@workflow(failure_policy=…)`.

    `on_failure` is a task or workflow that runs when this one has failed: it takes the same inputs, and may take an
    optional `FlyteError` more. `docs` replaces the docstring as the description. Raises `DefinitionError` if its
    annotations cannot work.
    """

    def declare(fn: Callable[..., Any]) -> Workflow:
        return Workflow(
            module=module_name(fn),
            function_name=fn.__name__,
            interface=interface_of(fn, "workflow"),
            failure_policy=failure_policy,
            interruptible=interruptible,
            description=inspect.cleandoc(docs if docs is not None else fn.__doc__ or ""),
            fn=fn,
            on_failure=_checked_handler(on_failure, f"{places.of_function(fn)}: workflow {fn.__name__}"),
        )

    return declare if fn is None else declare(fn)


def _checked_handler(handler: Any, place: str) -> PythonTask | Workflow | None:
    from flyteform.authoring.tasks import PythonTask

    if handler is not None and not isinstance(handler, PythonTask | Workflow):
        raise DefinitionError(f"{place}: on_failure={handler!r} is no task and no workflow")
    return handler
