"""Gates: nodes that wait for a person, or for time to pass."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flyteform.authoring import places, tracing
from flyteform.authoring.graph import Gate
from flyteform.authoring.promise import Draft, Promise
from flyteform.errors import DefinitionError, InvalidInputError
from flyteform.types.family import ValueMismatchError
from flyteform.types.registry import family_of

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATIENCE = timedelta(hours=1)  # flytekit's, where none is given
_SLEEP = "sleep-gate"
_YES, _NO = ("", "y", "yes"), ("n", "no")


def approve(upstream_item: Any, name: str, timeout: timedelta | None = None) -> Any:
    """Wait until somebody approves a value, the output of a call, and return it; a rejection fails the execution.

    Without an answer it fails after `timeout` (an hour where none is given).
    """
    place = _in_workflow(f"approve(…, {name!r})")
    if not isinstance(upstream_item, Promise) or upstream_item._draft is None:  # noqa: SLF001 - a promise has no public names but the user's
        raise DefinitionError(
            f"{place}: approve takes one output of a call, not {upstream_item!r}", remedy="pass what a task returned"
        )
    output, family = upstream_item._output, upstream_item._family  # noqa: SLF001 - as above
    gate = Gate(_checked(name, place), _patience(timeout, place), output, family, approves=True)
    return _add(gate, place, [(output, upstream_item)])


def wait_for_input(name: str, timeout: timedelta | None = None, expected_type: Any = None) -> Any:
    """Wait until somebody gives a value of `expected_type`, and return it; after `timeout` the execution fails."""
    place = _in_workflow(f"wait_for_input({name!r})")
    if expected_type is None:
        raise DefinitionError(
            f"{place}: wait_for_input needs to know what it waits for", remedy="add expected_type=int"
        )
    gate = Gate(_checked(name, place), _patience(timeout, place), "o0", family_of(expected_type))
    return _add(gate, place, [])


def sleep(duration: timedelta) -> Any:
    """Wait until so much time has passed; order it with `>>`."""
    place = _in_workflow("sleep(…)")
    given: Any = duration
    if not isinstance(given, timedelta) or duration <= timedelta(0):
        raise DefinitionError(f"{place}: sleep({duration!r}): this is no duration", remedy="give a timedelta")
    # flytekit's limit of an hour would end a longer sleep before its time.
    limit = _PATIENCE if duration <= _PATIENCE else duration + _PATIENCE
    return _add(Gate(_SLEEP, limit, duration=duration), place, [])


def pass_here(gate: Gate, values: Mapping[str, Any]) -> dict[str, Any]:
    """Pass a gate in this process: ask on the terminal; a sleep takes no time.

    Raises `InvalidInputError` for a rejection, and where nobody can answer.
    """
    if gate.duration is not None:
        _say(f"{gate.subject}: not waiting for {gate.duration} in this process")
        return {}
    if gate.approves:
        value = values[gate.output]
        while (answer := _ask(gate, f"approve {value!r}? [Y/n] ").lower()) not in _YES:
            if answer in _NO:
                raise InvalidInputError(f"{gate.subject}: {value!r} was rejected")
        return {gate.output: value}
    family = gate.family
    if family is None:
        return {}
    while True:
        try:
            return {gate.output: family.parse(_ask(gate, f"give a value of type {family.name}: "))}
        except ValueMismatchError as error:
            _say(f"{gate.subject}: {error.problem}")


def _ask(gate: Gate, question: str) -> str:
    _say(f"{gate.subject}: {question}", end="")
    answer = sys.stdin.readline()
    if not answer:
        raise InvalidInputError(
            f"{gate.subject} waits for an answer, but there is no more input", remedy="run it where somebody can answer"
        )
    return answer.strip()


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)  # noqa: T201 - a question on the terminal


def _in_workflow(call: str) -> str:
    place = places.of_caller()
    if not tracing.active():
        raise DefinitionError(f"{place}: {call} belongs into a workflow", remedy="call it in a function with @workflow")
    return place


def _checked(name: Any, place: str) -> str:
    if not isinstance(name, str) or not name:
        raise DefinitionError(f"{place}: a gate needs a name, by which it is answered, not {name!r}")
    return name


def _patience(timeout: Any, place: str) -> timedelta:
    if timeout is not None and (not isinstance(timeout, timedelta) or timeout < timedelta(0)):
        raise DefinitionError(f"{place}: timeout={timeout!r} is no duration", remedy="give a timedelta")
    return timeout or _PATIENCE


def _add(gate: Gate, place: str, bindings: list[tuple[str, Any]]) -> Any:
    draft = Draft(entity=gate, bindings=bindings, place=place)
    tracing.add_draft(draft)
    return tracing.result_of(draft, {gate.output: gate.family} if gate.family is not None else {})
