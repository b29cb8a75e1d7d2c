"""A mistake in a workflow names the line that is wrong, what is wrong with it, and what to do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flyteform.authoring import LoadedModule, Workflow
from flyteform.errors import FlyteformError

Declare = Callable[[str], LoadedModule]

DEFINITIONS = """
from dataclasses import dataclass
from typing import NamedTuple

@dataclass
class Box:
    count: int
    tags: list[str]

class Pair(NamedTuple):
    left: int
    right: str

@fl.task
def inc(x: int) -> int: ...
@fl.task
def text(s: str) -> str: ...
@fl.task
def box(n: int) -> Box: ...
@fl.task
def pair(x: int) -> Pair: ...
@fl.task
def show(s: str) -> None: ...
@fl.task
def bare(d: dict) -> dict: ...
@fl.task
def total(xs: list[int]) -> int: ...
@fl.task
def maybe(x: int) -> int | None: ...

@fl.workflow
def other(x: int) -> int:
    return inc(x=x)

@fl.workflow
def wf(x: int, xs: list[int]) -> int:
"""
FIRST_LINE = DEFINITIONS.count(
    "\n"
)  # that of the signature: an import line stands before, the empty first line does not


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return inc()", "task flow.inc needs the input 'x' of type int, which is not bound"),
        ("return inc(y=x)", "task flow.inc has no input 'y'; it has x"),
        ("return other(xx=x)", "workflow flow.other has no input 'xx'; did you mean 'x'?"),
        ("return inc(x)", "task flow.inc is called with unnamed inputs"),
        ("return inc(x='a')", "input 'x' of task flow.inc: expected int, got str 'a'"),
        ("return text(s=x)", "input 's' of task flow.text takes str, but the workflow's input 'x' is int"),
        ("return inc(x=text(s='a'))", "takes int, but output 'o0' of task flow.text is str"),
        ("return inc(x=maybe(x=x))", "takes int, but output 'o0' of task flow.maybe is int | None"),
        ("return inc(x=show(s='a'))", "takes int, but is given <no output of task flow.show>"),
        ("return inc(x=pair(x=x))", "input 'x' of task flow.inc takes one value, but is given 2"),
        ("return pair(x=x).middle", "task flow.pair has no output 'middle'; it has left, right"),
        ("return box(n=x).cuont", "Box has no field 'cuont'; did you mean 'count'?"),
        ("return inc(x=box(n=x).tags[0])", "takes int, but output 'o0'.tags[0] of task flow.box is str"),
        ("return inc(x=xs[-1])", "an index counts from the start here"),
        ("return inc(x=bare(d={})['a'])", "the type of its parts is not declared; annotate it as dict[str, T]"),
        ("return inc(x=x.real)", ".real needs a dataclass or a model"),
        ("return total(xs=[x, 'a'])", "input 'xs' of task flow.total[1]: expected int, got str 'a'"),
        ("return total(xs=[x, text(s='a')])", "[1] takes int, but output 'o0' of task flow.text is str"),
        ("return bare(d={'a': x})", "is a bare dict, which cannot hold promises"),
        ("return inc(x=[x])", "takes int, but is given a list of promises"),
        (
            "return inc(x=1) if x > 1 else inc(x=2)",
            "the workflow's input 'x' > 1 is not known yet: it cannot be tested with if",
        ),
        ("return inc(x=1) if x else inc(x=2)", "it cannot be tested with if"),
        ("return inc(x=x + 1)", "it cannot be calculated with"),
        ("return [inc(x=i) for i in range(x)][0]", "it cannot be used as a number"),
        ("return [inc(x=i) for i in xs][0]", "it cannot be iterated or unpacked; map_task maps a task over a list"),
        ("return inc(x=len(xs))", "it has no length yet"),
        ("return text(s=f'{x}')", "it cannot be written into text"),
        ("return text(s=str(x))", "it cannot be turned into text"),
        ("return inc(x=undefined)", "workflow flow.wf: NameError: name 'undefined' is not defined"),
        ("return wf(x=x, xs=xs)", "workflow flow.wf calls itself"),
        ("return inc(x=x) >> 3", ">> puts two nodes in order, but one side is none"),
        ("return x.with_overrides(retries=1)", "an input of the workflow is no node"),
        ("return inc(x=x).with_overrides(node_name='No')", "node_name='No' cannot be a node's id"),
        ("return inc(x=x).with_overrides(cache=True)", "cache=True needs a cache_version"),
        ("return inc(x=x).with_overrides(retries=-1)", "retries=-1 is no number of attempts"),
        ("return other(x=x).with_overrides(container_image='i')", "workflow flow.other is no task"),
    ],
)
def test_a_mistake_names_its_line(declare: Declare, body: str, message: str) -> None:
    """The message starts with the file and the line of the call."""
    loaded = declare(DEFINITIONS + f"    {body}\n")
    error = failure(loaded.module.wf)
    module = loaded.module.__name__
    assert message in error.message.replace(module, "flow")
    assert error.message.startswith(f"{module}.py:{FIRST_LINE + 1}: ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 'a'", "output 'o0' of workflow flow.wf: expected int, got str 'a'"),
        ("return text(s='a')", "output 'o0' of workflow flow.wf takes int, but output 'o0' of task flow.text is str"),
        ("inc(x=x)", "output 'o0' of workflow flow.wf: expected int, got None"),
        ("return inc(x=x), inc(x=x)", "output 'o0' of workflow flow.wf: expected int, got tuple"),
    ],
)
def test_a_wrong_output_names_the_workflow(declare: Declare, body: str, message: str) -> None:
    """What is returned has no line of its own, so the message has the workflow's."""
    loaded = declare(DEFINITIONS + f"    {body}\n")
    error = failure(loaded.module.wf)
    module = loaded.module.__name__
    assert message in error.message.replace(module, "flow")
    assert error.message.startswith(f"{module}.py:{FIRST_LINE - 1}: ")


def test_two_nodes_of_one_name_are_refused(declare: Declare) -> None:
    """Ids of nodes tell them apart."""
    body = "a = inc(x=x).with_overrides(node_name='n1')\n    return inc(x=a)\n"
    error = failure(declare(DEFINITIONS + "    " + body).module.wf)
    assert "are named 'n1'" in error.message


def failure(workflow: Workflow) -> FlyteformError:
    """Return the error of a workflow's graph."""
    with pytest.raises(FlyteformError) as caught:
        _ = workflow.graph
    return caught.value
