"""Conditionals, dynamic tasks, gates, failure nodes and registered entities: the graph, and runs in this process."""

from __future__ import annotations

import io
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

import flyteform as fl
from flyteform.authoring import dependencies
from flyteform.authoring.graph import Branch, Gate
from flyteform.errors import DefinitionError, FlyteformError, InvalidInputError, TypeMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable


@fl.task
def inc(x: int) -> int:
    """Add one."""
    return x + 1


@fl.task
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@fl.task
def half(x: int) -> float:
    """Give half."""
    return x / 2


@fl.task
def positive(x: int) -> bool:
    """Tell the sign."""
    return x > 0


@fl.task
def perhaps(x: int) -> int | None:
    """Give nothing for 0."""
    return x or None


@fl.task
def shout(x: int) -> None:
    """Give nothing."""


@fl.task
def boom(x: int) -> int:
    """Fail."""
    raise ValueError(f"no {x}")


cleaned: list[object] = []


@fl.task
def clean(x: int, err: fl.FlyteError | None = None) -> None:
    """Note what is cleaned up."""
    cleaned.append((x, err.message if err else None))


@fl.workflow
def sized(x: int) -> int:
    """Choose by size, one choice in another."""
    small = fl.conditional("small").if_(x == 0).then(inc(x=0)).else_().then(inc(x=-1))
    return (
        fl.conditional("size")
        .if_((x > 10) | (x < -10))
        .then(inc(x=x))
        .elif_(x >= 5)
        .then(inc(x=small))
        .else_()
        .fail("too small")
    )


@fl.workflow
def nested(x: int) -> int:
    """Choose within a case."""
    return (
        fl.conditional("sign")
        .if_(x > 0)
        .then(fl.conditional("size").if_(x > 5).then(inc(x=100)).else_().then(inc(x=10)))
        .else_()
        .then(inc(x=0))
    )


@fl.workflow
def by_outputs(x: int) -> int:
    """Choose by what tasks gave: a bool, a float, and something that may be nothing."""
    a, b, c = positive(x=x), half(x=x), perhaps(x=x)
    return (
        fl.conditional("c")
        .if_(c.is_none())
        .then(inc(x=0))
        .elif_(a.is_true() & (b > 2))
        .then(inc(x=10))
        .elif_(a.is_false())
        .then(inc(x=20))
        .else_()
        .then(inc(x=30))
    )


@pytest.mark.parametrize(("x", "expected"), [(11, 12), (-11, -10), (5, 1), (7, 1)])
def test_the_first_case_that_holds_is_taken(x: int, expected: int) -> None:
    """Conditions are looked at in their order."""
    assert sized(x=x) == expected


def test_when_nothing_is_taken_it_fails() -> None:
    """The message is the user's own."""
    with pytest.raises(ValueError, match="too small"):
        sized(x=4)


@pytest.mark.parametrize(("x", "expected"), [(6, 101), (1, 11), (0, 1)])
def test_a_choice_in_a_choice(x: int, expected: int) -> None:
    """The result of the inner one is the result of the case."""
    assert nested(x=x) == expected


@pytest.mark.parametrize(("x", "expected"), [(0, 1), (5, 11), (-5, 21), (1, 31)])
def test_conditions_on_outputs(x: int, expected: int) -> None:
    """Bools, floats compared with ints, and None."""
    assert by_outputs(x=x) == expected


def test_only_the_case_that_is_taken_runs() -> None:
    """The others' tasks are not called."""

    @fl.workflow
    def careful(x: int) -> int:
        return fl.conditional("c").if_(x > 0).then(inc(x=x)).else_().then(boom(x=x))

    assert careful(x=1) == 2
    with pytest.raises(ValueError, match="no 0"):
        careful(x=0)


def test_a_choice_without_outputs() -> None:
    """Where one case gives nothing, the whole gives nothing."""

    @fl.workflow
    def quiet(x: int) -> None:
        fl.conditional("c").if_(x > 0).then(inc(x=x)).else_().then(shout(x=x))

    assert quiet(x=1) is None
    (node,) = quiet.nodes
    assert isinstance(node.entity, Branch)
    assert node.entity.outputs == ()


def test_what_a_case_needs_comes_first() -> None:
    """A branch runs after all that its conditions and its cases read from, also when that was called later."""

    @fl.workflow
    def wf(x: int) -> int:
        a = inc(x=x)
        r = fl.conditional("c").if_(x > 0).then(inc(x=a)).else_().then(inc(x=x))
        inc(x=1) >> r
        return r

    assert [node.id for node in wf.graph.in_order()] == ["n0", "n2", "n1"]
    assert wf(x=3) == 5


def test_a_wide_choice() -> None:
    """A thousand cases are no more than a long list."""

    @fl.workflow
    def wide(x: int) -> int:
        chain = fl.conditional("c").if_(x == 0).then(inc(x=0))
        for number in range(1, 1000):
            chain = chain.elif_(x == number).then(inc(x=number))
        return chain.else_().fail("none")

    assert wide(x=998) == 999


def test_depth_has_a_limit() -> None:
    """What no platform could read as a message is refused, with what to do instead."""

    def level(x: int, depth: int) -> int:
        return (
            fl.conditional(f"c{depth}")
            .if_(x > depth)
            .then(level(x, depth - 1) if depth else inc(x=x))
            .else_()
            .then(inc(x=0))
        )

    def deep(x: int) -> int:
        return level(x, 15)

    def deeper(x: int) -> int:
        return level(x, 20)

    def joined(x: int) -> int:
        condition = x > 0
        for number in range(40):
            condition = condition & (x > number)
        return fl.conditional("c").if_(condition).then(inc(x=x)).else_().then(inc(x=0))

    assert fl.workflow(deep)(x=100) == 101
    with pytest.raises(DefinitionError, match="has too many others in each other"):
        fl.workflow(deeper)(x=1)
    with pytest.raises(DefinitionError, match="more than 30 conditions are joined in each other"):
        fl.workflow(joined)(x=1)


def _unended(x: int) -> None:
    fl.conditional("c").if_(x > 0).then(inc(x=x))


def _no_result(x: int) -> int:
    return fl.conditional("c").if_(x > 0).then(x).else_().then(inc(x=1))


def _from_outside(x: int) -> int:
    a = inc(x=x)
    return fl.conditional("c").if_(x > 0).then(a).else_().then(inc(x=1))


def _two_calls(x: int) -> int:
    return fl.conditional("c").if_(x > 0).then(inc(x=inc(x=x))).else_().then(inc(x=1))


def _no_condition(x: int) -> int:
    return fl.conditional("c").if_(x).then(inc(x=x)).else_().then(inc(x=1))


def _decided(x: int) -> int:
    return fl.conditional("c").if_(True).then(inc(x=x)).else_().then(inc(x=1))


def _forgotten_parentheses(x: int) -> int:
    return fl.conditional("c").if_(x > 0 & x < 5).then(inc(x=x)).else_().then(inc(x=1))


def _and(x: int) -> int:
    return fl.conditional("c").if_(x > 0 and x < 5).then(inc(x=x)).else_().then(inc(x=1))


def _other_type(x: int) -> int:
    return fl.conditional("c").if_(x == "a").then(inc(x=x)).else_().then(inc(x=1))


def _none(x: int) -> int:
    return fl.conditional("c").if_(x.is_none()).then(inc(x=x)).else_().then(inc(x=1))


def _mixed(x: int) -> int:
    return fl.conditional("c").if_(half(x=x) > x).then(inc(x=x)).else_().then(inc(x=1))


def _two_types(x: int) -> int:
    return fl.conditional("c").if_(x > 0).then(inc(x=x)).else_().then(half(x=1))


def _fails_early(x: int) -> int:
    return fl.conditional("c").if_(x > 0).fail("no").else_().then(inc(x=1))


def _approves_an_input(x: int) -> int:
    return fl.approve(x, "ok", timeout=timedelta(hours=1))


def _waits_for_anything(x: int) -> int:
    return add(a=x, b=fl.wait_for_input("n"))


def _sleeps_backwards(x: int) -> int:
    fl.sleep(timedelta(seconds=-1))
    return inc(x=x)


MISTAKES: list[tuple[Callable[[int], object], str]] = [
    (_unended, "conditional 'c' has no else"),
    (_no_result, r"then\(\) takes the whole result of a call that is made in it"),
    (_from_outside, r"then\(\) takes the whole result of a call that is made in it"),
    (_two_calls, "a case runs one node of its own, but task .*inc is called there too"),
    (_no_condition, r"if_ takes a comparison, not <promise of the workflow's input 'x'"),
    (_decided, "if_ takes a comparison, not True"),
    (_forgotten_parentheses, "it is no condition; compare it"),
    (_and, "the workflow's input 'x' > 0 is not known yet: it cannot be tested with if, while, and, or, not"),
    (_other_type, "cannot be compared with 'a' by =="),
    (_none, "cannot be compared with None by =="),
    (_mixed, "<promise of output 'o0' of task .*half: float> cannot be compared with"),
    (_two_types, "the output 'o0' is int in one case and float in another"),
    (_fails_early, r"only else_\(\) can fail"),
    (_approves_an_input, "approve takes one output of a call"),
    (_waits_for_anything, "wait_for_input needs to know what it waits for"),
    (_sleeps_backwards, "this is no duration"),
]


@pytest.mark.parametrize(("body", "message"), MISTAKES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_names_its_line(body: Callable[[int], object], message: str) -> None:
    """The message says where, what is wrong, and what to do."""
    with pytest.raises((DefinitionError, TypeMismatchError), match=message) as caught:
        _ = fl.workflow(body).graph
    line = body.__code__.co_firstlineno
    assert any(f"test_node_kinds.py:{line + offset}: " in caught.value.message for offset in (1, 2))
    assert caught.value.remedy or "in another" in message


@pytest.mark.parametrize("call", [
    lambda: fl.conditional("c"), lambda: fl.sleep(timedelta(seconds=1)), lambda: fl.wait_for_input("n", None, int),
    lambda: fl.approve(1, "ok"),
])  # fmt: skip
def test_outside_of_a_workflow_there_is_nothing_to_choose(call: Callable[[], object]) -> None:
    """What makes nodes belongs into a workflow."""
    with pytest.raises(DefinitionError, match="belongs into a workflow"):
        call()


@fl.workflow
def gated(x: int) -> int:
    """Ask twice, and rest."""
    agreed = fl.approve(inc(x=x), "agreed")
    given = fl.wait_for_input("given", timeout=timedelta(minutes=5), expected_type=int)
    rest = fl.sleep(timedelta(hours=2))
    result = inc(x=given)
    agreed >> rest >> result
    return result


def test_gates_ask_on_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong answer is asked for again, an empty one approves; the questions do not get into the output."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("seven\n7\n\n"))
    assert gated(x=1) == 8
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "gate 'agreed': approve 2? [Y/n]" in shown.err
    assert shown.err.count("give a value of type int") == 2


@pytest.mark.parametrize(("answers", "message"), [
    ("7\nmaybe\nno\n", "gate 'agreed': 2 was rejected"), ("", "there is no more input"),
])  # fmt: skip
def test_a_rejection_ends_the_run(monkeypatch: pytest.MonkeyPatch, answers: str, message: str) -> None:
    """So does an input that nobody gives."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
    with pytest.raises(InvalidInputError, match=message):
        gated(x=1)


def test_a_long_sleep_is_not_cut_short() -> None:
    """Flytekit's limit of an hour holds for sleeps up to that."""
    gates = [node.entity for node in gated.nodes if isinstance(node.entity, Gate)]
    assert [gate.timeout for gate in gates] == [timedelta(hours=1), timedelta(minutes=5), timedelta(hours=3)]


@fl.workflow(on_failure=clean)
def failing(x: int) -> int:
    """Fail, and be cleaned up after."""
    return boom(x=x)


def test_what_failed_is_cleaned_up() -> None:
    """The handler has the inputs and the error; the failure stays what it was."""
    cleaned.clear()
    with pytest.raises(ValueError, match="no 3"):
        failing(x=3)
    ((x, message),) = cleaned  # type: ignore[misc]
    assert x == 3
    assert "no 3" in message
    assert [one.name.rpartition(".")[2] for one in dependencies(failing)] == ["boom", "clean"]


def test_a_handler_has_to_fit() -> None:
    """It takes all inputs of the workflow, and what it takes more is optional."""

    def body(y: int) -> int:
        return inc(x=y)

    with pytest.raises(DefinitionError, match="on_failure=clean lacks the workflow's input 'y'"):
        _ = fl.workflow(on_failure=clean)(body).graph

    @fl.task
    def more(y: int, z: int) -> None: ...

    with pytest.raises(DefinitionError, match="on_failure=more has the input 'z', which the workflow has not"):
        _ = fl.workflow(on_failure=more)(body).graph
    with pytest.raises(DefinitionError, match="is no task and no workflow"):
        fl.workflow(on_failure=body)(body)  # type: ignore[arg-type]


@fl.dynamic
def fan(n: int) -> list[int]:
    """Make as many nodes as it is told."""
    if n > 3:
        return [inc(x=number) for number in range(n)]
    return [n]


@fl.dynamic(retries=2)
def countdown(n: int) -> int:
    """Make itself, with less."""
    return countdown(n=n - 1) if n else inc(x=0)


@fl.workflow
def dynamic_flow(n: int) -> list[int]:
    """Run something dynamic."""
    return fan(n=n)


def test_a_dynamic_task_knows_its_values() -> None:
    """Loops and ifs work on them; without any call its result is its output."""
    assert dynamic_flow(n=5) == [1, 2, 3, 4, 5]
    assert dynamic_flow(n=2) == [2]
    assert fan(n=4) == [1, 2, 3, 4]


def test_a_dynamic_task_may_make_itself() -> None:
    """Each one is a task of its own, to any depth that this process can hold."""
    assert countdown(n=20) == 1
    assert countdown.settings.retries == 2


def test_a_dynamic_task_may_choose() -> None:
    """Conditionals and gates are nodes in it as in a workflow; its own errors are the user's."""

    @fl.dynamic
    def choosing(n: int) -> int:
        if n < 0:
            raise ValueError("negative")
        return fl.conditional("c").if_(inc(x=n) > 1).then(inc(x=n)).else_().then(inc(x=0))

    assert choosing(n=5) == 6
    with pytest.raises(ValueError, match="negative"):
        choosing(n=-1)


def test_a_map_refuses_a_dynamic_task() -> None:
    """As flytekit does: an item cannot make nodes."""
    with pytest.raises(DefinitionError, match="is dynamic: an item of a map cannot make nodes"):
        fl.map_task(fan)


@fl.reference_task(project="p", domain="d", name="a.b.inc", version="v")
def registered(x: int) -> int: ...  # type: ignore[empty-body]


def test_what_is_registered_elsewhere_cannot_run_here() -> None:
    """It is no dependency, and a run in this process says where it runs."""

    @fl.workflow
    def wf(x: int) -> int:
        return registered(x=x)

    assert dependencies(wf) == ()
    assert repr(registered) == "<registered task a.b.inc>"
    with pytest.raises(InvalidInputError, match="is on a platform: it cannot run in this process"):
        wf(x=1)
    with pytest.raises(DefinitionError, match="needs a version"):
        fl.reference_workflow("p", "d", "n", "")


def test_all_are_flyteforms_own_errors() -> None:
    """So that a command shows them as messages."""
    assert issubclass(DefinitionError, FlyteformError)
