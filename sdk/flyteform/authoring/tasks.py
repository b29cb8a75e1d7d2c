"""`@task`: a Python function as a unit of work."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, overload

from flyteform.authoring import places
from flyteform.authoring.interface import Interface, check_value, interface_of, suggestion
from flyteform.authoring.naming import module_name
from flyteform.authoring.secrets import checked_secrets
from flyteform.errors import DefinitionError, TaskFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flyteform.authoring.resources import Resources
    from flyteform.authoring.secrets import Secret


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """How a task is run, cached and retried.

    `retries` counts attempts after the first; they follow recoverable errors and lost machines. `timeout` bounds one
    attempt. None leaves the choice to the platform.
    """

    cache: bool = False
    cache_version: str = ""
    cache_serialize: bool = False
    cache_ignore_input_vars: tuple[str, ...] = ()
    retries: int = 0
    timeout: timedelta | None = None
    interruptible: bool | None = None
    requests: Resources | None = None
    limits: Resources | None = None
    environment: tuple[tuple[str, str], ...] = ()
    container_image: str | None = None
    secret_requests: tuple[Secret, ...] = ()
    description: str = ""


@dataclass(frozen=True, eq=False)
class PythonTask:
    """A Python function with its typed interface and its settings.

    Calling it inside a workflow adds a node to the workflow's graph; calling it elsewhere runs the function, its
    inputs and outputs checked against its annotations. The calls that a `dynamic` one makes become nodes when it runs.
    """

    module: str
    function_name: str
    interface: Interface
    settings: TaskSettings
    fn: Callable[..., Any]
    dynamic: bool = False

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
        return f"task {self.name}"

    @property
    def place(self) -> str:
        """Where it is declared."""
        return places.of_function(self.fn)

    @property
    def importable(self) -> bool:
        """Whether another process can find the function by its name in its module."""
        return "<locals>" not in self.fn.__qualname__

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run the function on checked inputs and return its checked outputs by name.

        Raises `TaskFailedError` for whatever the function raises, its attempts to leave the process included.
        """
        try:
            result = self.fn(**inputs)
            if inspect.iscoroutine(result):
                import asyncio

                result = asyncio.run(result)
        except (Exception, SystemExit) as failure:
            raise TaskFailedError(self.name, failure) from failure
        values = self.interface.split(result, self.subject)
        return {
            one.name: check_value(value, one.python_type, f"output {one.name!r} of {self.subject}")
            for one, value in zip(self.interface.outputs, values, strict=True)
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Add a node to the workflow being declared, or run the function."""
        from flyteform.authoring.calls import call

        return call(self, args, kwargs)

    def __repr__(self) -> str:
        """Name it."""
        return f"<task {self.name}>"


@overload
def task(fn: Callable[..., Any], /) -> PythonTask: ...
@overload
def task(
    *,
    cache: bool = False,
    cache_version: str = "",
    cache_serialize: bool = False,
    cache_ignore_input_vars: Sequence[str] = (),
    retries: int = 0,
    timeout: timedelta | int | None = None,
    interruptible: bool | None = None,
    requests: Resources | None = None,
    limits: Resources | None = None,
    environment: Mapping[str, str] | None = None,
    container_image: str | None = None,
    secret_requests: Sequence[Secret] = (),
    docs: str | None = None,
) -> Callable[[Callable[..., Any]], PythonTask]: ...


def task(  # noqa: PLR0913 - every one is a setting that users of Flyte know
    fn: Callable[..., Any] | None = None,
    /,
    *,
    cache: bool = False,
    cache_version: str = "",
    cache_serialize: bool = False,
    cache_ignore_input_vars: Sequence[str] = (),
    retries: int = 0,
    timeout: timedelta | int | None = None,
    interruptible: bool | None = None,
    requests: Resources | None = None,
    limits: Resources | None = None,
    environment: Mapping[str, str] | None = None,
    container_image: str | None = None,
    secret_requests: Sequence[Secret] = (),
    docs: str | None = None,
) -> PythonTask | Callable[[Callable[..., Any]], PythonTask]:
    """Declare a function as a task: `@task`, or `@task(cache=True, cache_version="1", …)`.

    `timeout` is a timedelta or seconds. `retries` counts attempts after the first. `requests` and `limits` are
    `Resources`. `secret_requests` are `Secret`s, which the task reads from `current_context().secrets`. `docs` replaces
    the docstring as the description. Raises `DefinitionError` for a declaration that cannot work.
    """

    def declare(fn: Callable[..., Any]) -> PythonTask:
        place = f"{places.of_function(fn)}: task {fn.__name__}"
        settings = TaskSettings(
            cache=cache,
            cache_version=str(cache_version),
            cache_serialize=cache_serialize,
            cache_ignore_input_vars=tuple(cache_ignore_input_vars),
            retries=checked_retries(retries, place),
            timeout=checked_timeout(timeout, place),
            interruptible=interruptible,
            requests=requests,
            limits=limits,
            environment=_environment(environment, place),
            container_image=container_image,
            secret_requests=checked_secrets(secret_requests, place),
            description=inspect.cleandoc(docs if docs is not None else fn.__doc__ or ""),
        )
        interface = interface_of(fn, "task")
        _check_cache(settings, interface, place)
        return PythonTask(
            module=module_name(fn), function_name=fn.__name__, interface=interface, settings=settings, fn=fn
        )

    return declare if fn is None else declare(fn)


def checked_retries(retries: Any, place: str) -> int:
    """Return the number of retries, which is a whole number of 0 or more."""
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise DefinitionError(f"{place}: retries={retries!r} is no number of attempts", remedy="give 0 or more")
    return int(retries)


def checked_timeout(timeout: timedelta | int | None, place: str) -> timedelta | None:
    """Return the timeout as a positive duration; a number counts seconds."""
    if isinstance(timeout, int) and not isinstance(timeout, bool):
        timeout = timedelta(seconds=timeout)
    if timeout is not None and (not isinstance(timeout, timedelta) or timeout <= timedelta(0)):
        raise DefinitionError(f"{place}: timeout={timeout!r} is no duration", remedy="give seconds or a timedelta")
    return timeout


def _environment(environment: Mapping[Any, Any] | None, place: str) -> tuple[tuple[str, str], ...]:
    items = tuple(sorted((environment or {}).items()))
    for key, value in items:
        if not isinstance(key, str) or not isinstance(value, str):
            raise DefinitionError(f"{place}: environment[{key!r}] is no text", remedy="names and values are str")
    return items


def _check_cache(settings: TaskSettings, interface: Interface, place: str) -> None:
    if settings.cache and not settings.cache_version:
        raise DefinitionError(
            f"{place}: cache=True needs a cache_version",
            remedy='add cache_version="1", and change it whenever the task\'s results change',
        )
    if not settings.cache and (settings.cache_serialize or settings.cache_ignore_input_vars):
        raise DefinitionError(f"{place}: cache settings without cache=True have no effect", remedy="add cache=True")
    for name in settings.cache_ignore_input_vars:
        if name not in interface.inputs_by_name:
            hint = suggestion(name, interface.inputs_by_name)
            raise DefinitionError(f"{place}: cache_ignore_input_vars names {name!r}, which is no input{hint}")
