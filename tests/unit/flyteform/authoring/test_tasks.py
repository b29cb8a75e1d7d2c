"""Tasks: the introduction's samples as they stand, settings, and calls outside of workflows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import pytest

import flyteform as fl
from flyteform.authoring import LoadedModule
from flyteform.errors import DefinitionError, FlyteformError, InvalidInputError, TypeMismatchError

Declare = Callable[[str], LoadedModule]


class Pair(NamedTuple):
    """Two named outputs."""

    left: int
    right: str


@fl.task
def inc(x: int, by: int = 1) -> int:
    """Add."""
    return x + by


@fl.task
def pair(x: int) -> Pair:
    """Return two outputs."""
    return Pair(x, str(x))


@fl.task
def two(x: int) -> tuple[int, str]:
    """Return two unnamed outputs."""
    return x, str(x)


@fl.task
def nothing(x: int) -> None:
    """Return nothing."""


@fl.task
async def later(x: int) -> int:
    """Return from a coroutine."""
    return x * 2


@fl.task
def liar(x: int) -> int:
    """Return another type than it says."""
    return str(x)  # type: ignore[return-value]


INTRODUCTION = """
from flyteform import Resources, task, workflow

@task(cache=True, cache_version="1")
def preprocess(data: list) -> list:
    return [x * 2 for x in data]

@task(retries=3)
def train(data: list) -> float:
    return sum(data) / len(data)

@task(requests=Resources(cpu="16", mem="16Gi", gpu="1"))
def heavy(x: int) -> int:
    return x

@workflow
def wf(data: list = [1, 2, 3]) -> float:
    return train(data=preprocess(data=data))
"""


def test_the_introductions_samples_run_as_they_stand(declare: Declare) -> None:
    """Users can paste what they find there, but for the import line."""
    module = declare(INTRODUCTION).module
    assert module.wf() == 4.0
    assert module.wf(data=[1, {"nested": None}][:1]) == 2.0
    assert module.preprocess.settings.cache_version == "1"
    assert module.train.settings.retries == 3
    assert module.heavy.settings.requests == fl.Resources(cpu="16", mem="16Gi", gpu="1")


def test_a_task_is_named_by_its_module_and_function(declare: Declare) -> None:
    """Names are Flyte's, and another process can import by them."""
    loaded = declare(INTRODUCTION)
    assert loaded.module.train.name == f"{loaded.path.stem}.train"


def test_settings_are_kept() -> None:
    """Every setting arrives in the definition."""

    @fl.task(
        cache=True,
        cache_version="2",
        cache_serialize=True,
        cache_ignore_input_vars=("y",),
        retries=2,
        timeout=90,
        interruptible=True,
        limits=fl.Resources(mem="1Gi"),
        environment={"B": "2", "A": "1"},
        container_image="example.test/image:1",
    )
    def full(x: int, y: int) -> int:
        """Say what it does.

        And more.
        """
        return x + y

    settings = full.settings
    assert (settings.cache, settings.cache_version, settings.cache_serialize) == (True, "2", True)
    assert settings.cache_ignore_input_vars == ("y",)
    assert (settings.retries, settings.timeout, settings.interruptible) == (2, timedelta(seconds=90), True)
    assert settings.environment == (("A", "1"), ("B", "2"))
    assert settings.container_image == "example.test/image:1"
    assert settings.description == "Say what it does.\n\nAnd more."


def test_calls_outside_of_workflows_run_the_function() -> None:
    """Tasks stay plain functions: positional and named inputs, defaults, several outputs, coroutines."""
    assert inc(1) == 2
    assert inc(x=1, by=2) == 3
    assert pair(x=1) == Pair(1, "1")
    assert two(x=1) == (1, "1")
    assert nothing(x=1) is None
    assert later(x=2) == 4


def test_inputs_and_outputs_are_checked() -> None:
    """A wrong type is found at the task's border, with the name of the input or output."""
    with pytest.raises(TypeMismatchError, match=r"input 'x' of task .*inc: expected int, got str 'a'"):
        inc(x="a")
    with pytest.raises(TypeMismatchError, match=r"output 'o0' of task .*liar: expected int, got str '1'"):
        liar(x=1)
    with pytest.raises(InvalidInputError, match=r"has no input 'bye'; did you mean 'by'\?"):
        inc(x=1, bye=2)
    with pytest.raises(InvalidInputError, match="needs the input 'x' of type int"):
        inc()
    with pytest.raises(InvalidInputError, match="takes 2 inputs, but 3 were given"):
        inc(1, 2, 3)
    with pytest.raises(InvalidInputError, match="got the input 'x' twice"):
        inc(1, x=1)


def test_the_users_own_exception_comes_out() -> None:
    """A test of the user's can expect what the function raises."""

    @fl.task
    def fail(x: int) -> int:
        raise KeyError(x)

    with pytest.raises(KeyError):
        fail(x=1)


def test_a_task_does_not_change_its_callers_values() -> None:
    """Values are copied between tasks here as they are on a platform."""

    @fl.task
    def grow(xs: list[int]) -> list[int]:
        xs.append(1)
        return xs

    mine: list[int] = []
    assert grow(xs=mine) == [1]
    assert mine == []


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("@fl.task\ndef f(x) -> int: ...", "f.py:2: task f: the input 'x' has no type annotation"),
        ("@fl.task\ndef f(x: set) -> int: ...", "the input 'x': values of type set cannot be carried"),
        ("@fl.task\ndef f(x: int) -> set: ...", "the output 'o0': values of type set cannot be carried"),
        ("@fl.task\ndef f(*x: int) -> int: ...", "the parameter '*x: int' has no fixed name"),
        ("@fl.task\ndef f(x: 'Missing') -> int: ...", "an annotation cannot be understood: name 'Missing'"),
        ("@fl.task\ndef f(x: int = 'a') -> int: ...", "has a wrong default: expected int, got str 'a'"),
        ("@fl.task\ndef f() -> tuple[int, ...]: ...", "a tuple of any length cannot be an output"),
        ("@fl.task(cache=True)\ndef f() -> int: ...", "cache=True needs a cache_version"),
        ("@fl.task(cache_serialize=True)\ndef f() -> int: ...", "without cache=True have no effect"),
        (
            "@fl.task(cache=True, cache_version='1', cache_ignore_input_vars=['y'])\ndef f(x: int) -> int: ...",
            "cache_ignore_input_vars names 'y', which is no input; it has x",
        ),
        ("@fl.task(retries=-1)\ndef f() -> int: ...", "retries=-1 is no number of attempts"),
        ("@fl.task(timeout=0)\ndef f() -> int: ...", "is no duration"),
        ("@fl.task(environment={'A': 1})\ndef f() -> int: ...", "environment['A'] is no text"),
    ],
)
def test_a_declaration_that_cannot_work_names_its_line(declare: Declare, declaration: str, message: str) -> None:
    """Mistakes are found when the file is loaded, with the place and what is wrong."""
    with pytest.raises(DefinitionError) as caught:
        declare(declaration)
    shown = caught.value.message.replace(caught.value.message.partition(".py")[0], "f", 1)
    assert message in shown
    assert shown.startswith("f.py:2: task f: ")


@pytest.mark.parametrize("amount", ["lots", "-1", "1 Gi", True, ""])
def test_a_resource_that_is_no_quantity_is_refused(amount: str) -> None:
    """What Kubernetes would refuse at the start of a run is refused when it is written."""
    with pytest.raises(DefinitionError, match="this is no quantity"):
        fl.Resources(mem=amount)


def test_only_what_asks_for_it_is_retryable() -> None:
    """A task tells by its exception whether another attempt can help."""
    assert fl.RecoverableError("the mirror was busy").retryable
    assert not FlyteformError("no").retryable
