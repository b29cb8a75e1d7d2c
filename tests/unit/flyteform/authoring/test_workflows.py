"""Workflows: the traced graph, and runs in this process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import pytest

import flyteform as fl
from flyteform.authoring import MapTask, dependencies, entities
from flyteform.authoring.graph import Constant, ListOf, MapOf, Reference
from flyteform.errors import DefinitionError, InvalidInputError, TypeMismatchError


class Pair(NamedTuple):
    """Two named outputs."""

    left: int
    right: str


@dataclass
class Box:
    """Something with parts."""

    n: int
    tags: list[str]
    by_name: dict[str, float]


@fl.task(retries=1)
def inc(x: int) -> int:
    """Add one."""
    return x + 1


@fl.task
def add(a: int, b: int = 10) -> int:
    """Add."""
    return a + b


@fl.task
def pair(x: int) -> Pair:
    """Return two outputs."""
    return Pair(x, str(x))


@fl.task
def box(n: int) -> Box:
    """Return something with parts."""
    return Box(n, ["first", "second"], {"a": 0.5})


@fl.task
def total(xs: list[int]) -> int:
    """Sum."""
    return sum(xs)


@fl.task
def known(xs: list[int | None]) -> int:
    """Count what is there."""
    return sum(x is not None for x in xs)


@fl.task
def odd_only(x: int) -> int:
    """Fail for even numbers."""
    if x % 2 == 0:
        raise ValueError(x)
    return x


@fl.task
def show(s: str) -> None:
    """Return nothing."""


@fl.workflow
def chain(x: int = 1) -> int:
    """Call one after the other."""
    return inc(x=inc(x=x))


@fl.workflow
def nested(x: int) -> int:
    """Call a workflow."""
    return add(a=chain(x=x), b=chain())


chain_lp = fl.LaunchPlan.get_or_create(chain, name="chain_lp", default_inputs={"x": 5})


@fl.workflow
def launched() -> int:
    """Call a launch plan."""
    return inc(x=chain_lp())


@fl.workflow
def parts(n: int) -> tuple[str, float, int]:
    """Take results apart."""
    left, right = pair(x=n)
    b = box(n=left)
    show(s=right)
    return b.tags[1], b.by_name["a"], b.n


@fl.workflow
def gathered(x: int) -> tuple[int, dict[str, list[int]]]:
    """Put results together."""
    a = inc(x=x)
    return total(xs=[a, 5, inc(x=a)]), {"both": [a, x]}


@fl.workflow
def mapped(xs: list[int], b: int) -> list[int]:
    """Map with an input that is bound."""
    return fl.map_task(partial(add, b=b), concurrency=2)(a=xs)


@fl.workflow
def tolerant(xs: list[int]) -> int:
    """Map with items that may fail."""
    return known(xs=fl.map_task(odd_only, min_success_ratio=0.5)(x=xs))


def test_calls_become_nodes_in_their_order() -> None:
    """Node ids and bindings are as Flyte's SDK gives them."""
    first, second = chain.nodes
    assert (first.id, first.entity, first.bindings) == ("n0", inc, (("x", Reference("", "x")),))
    assert (second.id, second.bindings, second.upstream) == ("n1", (("x", Reference("n0", "o0")),), ("n0",))
    assert chain.outputs == (("o0", Reference("n1", "o0")),)


def test_defaults_are_bound_as_constants() -> None:
    """What a call leaves out is in the graph all the same."""
    node = fl.workflow(lambda_workflow).nodes[0]
    name, binding = node.bindings[1]
    assert name == "b"
    assert isinstance(binding, Constant)
    assert binding.value == 10


def lambda_workflow(x: int) -> int:
    """Leave an input to its default."""
    result: int = add(a=x)
    return result


def test_parts_of_results_are_paths() -> None:
    """Fields, items and values of a result are bound by their path."""
    assert [binding for _, binding in parts.outputs] == [
        Reference("n1", "o0", ("tags", 1)),
        Reference("n1", "o0", ("by_name", "a")),
        Reference("n1", "o0", ("n",)),
    ]
    assert parts.nodes[1].bindings == (("n", Reference("n0", "left")),)


def test_lists_and_dicts_may_hold_results() -> None:
    """Bindings nest as the values do."""
    total_node = gathered.nodes[2]
    (_, binding) = total_node.bindings[0]
    assert isinstance(binding, ListOf)
    assert binding.items[0] == Reference("n0", "o0")
    assert isinstance(binding.items[1], Constant)
    assert total_node.upstream == ("n0", "n1")
    (_, output) = gathered.outputs[1]
    assert output == MapOf((("both", ListOf((Reference("n0", "o0"), Reference("", "x")))),))


@pytest.mark.parametrize(
    ("workflow", "inputs", "expected"),
    [
        (chain, {}, 3),
        (nested, {"x": 1}, 6),
        (launched, {}, 8),
        (chain_lp, {"x": 1}, 3),
        (parts, {"n": 4}, ("second", 0.5, 4)),
        (gathered, {"x": 1}, (10, {"both": [2, 1]})),
        (mapped, {"xs": [1, 2], "b": 5}, [6, 7]),
        (mapped, {"xs": [], "b": 5}, []),
        (tolerant, {"xs": [1, 2, 3, 4]}, 2),
    ],
)
def test_a_workflow_runs_here(workflow: fl.authoring.Entity, inputs: dict[str, object], expected: object) -> None:
    """A local run follows the graph, with the results that a platform would give."""
    assert workflow(**inputs) == expected


def test_too_many_failed_items_fail_the_map() -> None:
    """The exception is that of the item that was one too many."""
    with pytest.raises(ValueError, match="4"):
        tolerant(xs=[2, 4, 3])


def test_lists_of_different_lengths_cannot_be_mapped() -> None:
    """The message says which list has how many items."""
    with pytest.raises(InvalidInputError, match="a has 2, b has 1"):
        fl.map_task(add)(a=[1, 2], b=[1])


def test_wrong_inputs_of_a_workflow_are_named() -> None:
    """Local runs check as a platform does."""
    with pytest.raises(TypeMismatchError, match=r"input 'x' of workflow .*chain: expected int, got str 'a'"):
        chain(x="a")


def test_order_without_data() -> None:
    """`>>` makes one node wait for another, and can be chained."""

    @fl.workflow
    def ordered(x: int) -> int:
        first = show(s="first")
        second = inc(x=x)
        third = show(s="third")
        third >> second >> first
        return second

    first, second, third = ordered.nodes
    assert (first.after, second.after, third.after) == (("n1",), ("n2",), ())
    assert ordered(x=1) == 2


def test_a_circle_is_refused() -> None:
    """Nodes that wait for each other would never start."""

    @fl.workflow
    def circle(x: int) -> int:
        first = inc(x=x)
        second = inc(x=first)
        second >> first
        return second

    with pytest.raises(DefinitionError, match="the nodes n0 and n1 wait for each other"):
        circle(x=1)


def test_overrides_belong_to_one_node() -> None:
    """What with_overrides changes is in the node, and the task stays as it was."""

    @fl.workflow
    def overridden(x: int) -> int:
        return inc(x=x).with_overrides(
            node_name="mine", limits=fl.Resources(cpu=2), retries=5, timeout=60, cache=True, cache_version="3"
        )

    (node,) = overridden.nodes
    assert node.id == "mine"
    assert overridden.outputs == (("o0", Reference("mine", "o0")),)
    assert (node.overrides.retries, node.overrides.timeout) == (5, timedelta(minutes=1))
    assert node.overrides.limits == fl.Resources(cpu="2")
    assert (node.overrides.cache, node.overrides.cache_version) == (True, "3")
    assert inc.settings.retries == 1
    assert overridden(x=1) == 2


def test_dependencies_come_first_and_once() -> None:
    """Whoever registers a workflow can go through the list in its order."""
    assert entities(nested) == (inc, chain, add, nested)
    assert dependencies(nested) == (chain, add)
    assert entities(launched) == (inc, chain, chain_lp, launched)
    (map_entity, _) = entities(mapped)
    assert isinstance(map_entity, MapTask)
    assert map_entity.task is add


def test_two_map_tasks_of_one_task_are_one_entity() -> None:
    """How many items run at once is a matter of the node, not of what is registered."""

    @fl.workflow
    def twice(xs: list[int]) -> list[int]:
        return fl.map_task(inc, concurrency=1)(x=fl.map_task(inc)(x=xs))

    assert [one.name for one in entities(twice)][:-1] == [f"{inc.module}.map_inc"]


def test_namesakes_are_refused() -> None:
    """Two functions cannot be registered under one name."""
    first = fl.task(make_task())
    second = fl.task(make_task())

    @fl.workflow
    def confused(x: int) -> int:
        return second(x=first(x=x))

    with pytest.raises(DefinitionError, match=r"two different entities with the name '.*\.same'"):
        entities(confused)


def make_task() -> object:
    """Return a new function of one name."""

    def same(x: int) -> int:
        return x

    return same


def test_a_workflow_is_traced_once_and_late() -> None:
    """Its function may call what is defined further down, and has no effect of its own on runs."""
    calls = []

    @fl.workflow
    def traced(x: int) -> int:
        calls.append(x)
        return defined_later(x=x)

    @fl.task
    def defined_later(x: int) -> int:
        return x

    assert calls == []
    assert (traced(x=1), traced(x=2)) == (1, 2)
    assert len(calls) == 1


def test_optional_inputs_need_no_value() -> None:
    """As in Flyte, an input that may be None is None when it is left out."""

    @fl.task
    def maybe(at: datetime | None) -> bool:
        return at is None

    @fl.workflow
    def wf(at: datetime | None) -> bool:
        return maybe(at=at)

    assert wf() is True


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fl.map_task(pair), "has several outputs"),
        (lambda: fl.map_task(print), "takes a task, not"),
        (lambda: fl.map_task(partial(add, c=1)), "has no input 'c'; it has a, b"),
        (lambda: fl.map_task(partial(add, 1)), "bind inputs by name"),
        (lambda: fl.map_task(partial(inc, x=1)), "has no input left to map over"),
        (lambda: fl.map_task(inc, concurrency=-1), "concurrency=-1 is no count"),
        (lambda: fl.map_task(inc, min_success_ratio=1.5), "min_success_ratio=1.5 is no share"),
        (lambda: fl.map_task(inc, min_successes=1, min_success_ratio=0.5), "not both"),
        (lambda: fl.map_task(partial(add, b=1))(a=[1], b=2), "the input 'b' is bound already"),
    ],
)
def test_a_map_that_cannot_work_is_refused(make: object, message: str) -> None:
    """The message names this file and says what is wrong."""
    with pytest.raises(DefinitionError, match=message) as caught:
        make()  # type: ignore[operator]
    assert "test_workflows.py:" in caught.value.message
