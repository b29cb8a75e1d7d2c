"""`conditional`: one of several nodes, chosen by values that are known only when the workflow runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flyteform.authoring import places, tracing
from flyteform.authoring.conditions import Condition
from flyteform.authoring.promise import Choice, Draft, NodeHandle, NodeOutputs, Ordered, Promise
from flyteform.errors import DefinitionError, TypeMismatchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flyteform.types.family import TypeFamily


# Readers of Flyte's messages take 100 levels; a workflow that a dynamic task made lies deep in the events about it.
_DEEPEST = 70


class OpenCase:
    """A case that has a condition, or is the else, and still needs its node."""

    def __init__(self, section: ConditionalSection, condition: Condition | None) -> None:
        """Belong to a `conditional`; the else has no condition."""
        self._section = section
        self._condition = condition

    def then(self, result: Any) -> Any:
        """Run the node that `result` is the result of: a call made right here, `then(task(x=x))`.

        After the else it returns the result of the whole, the outputs that the nodes of all cases have.
        """
        return self._section._close(self._condition, self._section._node_of(result), "")  # noqa: SLF001 - of one module

    def fail(self, message: str) -> Any:
        """Fail with this message when no case before it is taken."""
        if self._condition is not None:
            raise DefinitionError(
                f"{places.of_caller()}: conditional {self._section.name!r}: only else_() can fail",
                remedy="call a task that raises an error, or turn the condition around",
            )
        return self._section._close(None, None, message or "no case was taken")  # noqa: SLF001 - of one module


class CaseChain:
    """A `conditional` that has some cases."""

    def __init__(self, section: ConditionalSection) -> None:
        """Go on with a `conditional`."""
        self._section = section

    def elif_(self, condition: Any) -> OpenCase:
        """Add a case that is taken when none before it is."""
        return self._section._open(condition, "elif_")  # noqa: SLF001 - of one module

    def else_(self) -> OpenCase:
        """Add the last case."""
        return OpenCase(self._section, None)


class ConditionalSection:
    """A `conditional` without cases; the calls that are made until its else belong to it."""

    def __init__(self, name: str, place: str) -> None:
        """Begin a `conditional` in the workflow that is being declared."""
        self.name = name
        self.place = place
        self.drafts: list[Draft] = []
        self._cases: list[tuple[Condition, Draft]] = []
        self._results: list[Any] = []

    def if_(self, condition: Any) -> OpenCase:
        """Add the first case."""
        return self._open(condition, "if_")

    def _open(self, condition: Any, word: str) -> OpenCase:
        if not isinstance(condition, Condition):
            raise DefinitionError(
                f"{places.of_caller()}: conditional {self.name!r}: {word} takes a comparison, not {condition!r}",
                remedy="compare a promise: x > 1, x.is_true(), x.is_none(), joined by & and |",
            )
        # What was called in order to compare it is no case: it runs before the whole.
        tracing.move_out(self, self._spare())
        return OpenCase(self, condition)

    def _spare(self) -> list[Draft]:
        """Return what was called since the last case; the nodes of the cases are the first ones, in their order."""
        return self.drafts[len(self._cases) :]

    def _node_of(self, result: Any) -> Draft:
        draft = result._draft if isinstance(result, Ordered) else None  # noqa: SLF001 - as above
        here = f"{places.of_caller()}: conditional {self.name!r}"
        called = self._spare()
        if draft is None or draft not in called or (isinstance(result, Promise) and result._path):  # noqa: SLF001 - as above
            raise DefinitionError(
                f"{here}: then() takes the whole result of a call that is made in it", remedy="write then(task(x=x))"
            )
        spare = next((node for node in called if node is not draft), None)
        if spare is not None:
            raise DefinitionError(
                f"{here}: a case runs one node of its own, but {spare.entity.subject} is called there too",
                remedy="put what a case does into a workflow, and call that",
            )
        self._results.append(result)
        return draft

    def _close(self, condition: Condition | None, node: Draft | None, message: str) -> Any:
        if condition is not None and node is not None:
            self._cases.append((condition, node))
            return CaseChain(self)
        tracing.end_section(self)
        outputs = self._outputs()
        choice = Choice(self.name, tuple(self._cases), node, message, tuple(self.drafts), tuple(outputs))
        if choice.depth > _DEEPEST:
            raise DefinitionError(
                f"{self.place}: conditional {self.name!r} has too many others in each other",
                remedy="put the inner ones into a workflow, and call that in a case",
            )
        draft = Draft(entity=choice, bindings=[], place=self.place)
        tracing.add_draft(draft)
        return tracing.result_of(draft, outputs)

    def _outputs(self) -> dict[str, TypeFamily]:
        """Return what the nodes of all cases give."""
        shared = _promises(self._results[0])
        for result in self._results[1:]:
            other = _promises(result)
            for name in [name for name in shared if name in other]:
                _check_same(shared[name], other[name], f"{self.place}: conditional {self.name!r}: the output {name!r}")
            shared = {name: promise for name, promise in shared.items() if name in other}
        return {name: promise._family for name, promise in shared.items()}  # noqa: SLF001 - as above


def conditional(name: str) -> ConditionalSection:
    """Choose one of several nodes by comparisons: `conditional("size").if_(x > 1).then(a(x=x)).else_().fail("small")`.

    Comparisons (`== != < <= > >=`, `is_true`, `is_false`, `is_none`) are joined by `&` and `|`. Every case runs one
    node, which may be another `conditional`; the last one is the `else_`. Only inside of a workflow.
    """
    place = places.of_caller()
    if not tracing.active():
        raise DefinitionError(f"{place}: conditional({name!r}) belongs into a workflow", remedy="use if elsewhere")
    section = ConditionalSection(name, place)
    tracing.begin_section(section)
    return section


def _promises(result: Any) -> dict[str, Promise]:
    """Return the promises of a result by the names of the outputs."""
    promises: Sequence[Any] = (
        () if isinstance(result, NodeHandle) else result if isinstance(result, NodeOutputs) else (result,)
    )
    return {promise._output: promise for promise in promises}  # noqa: SLF001 - as above


def _check_same(one: Promise, other: Promise, subject: str) -> None:
    first, second = one._family, other._family  # noqa: SLF001 - as above
    if not (first.accepts(second) and second.accepts(first)):
        raise TypeMismatchError(
            f"{subject} is {first.name} in one case and {second.name} in another", remedy="give it one type"
        )
