"""What a call gives while a workflow is declared: outputs that have no value yet."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Self

from flyteform.authoring import places
from flyteform.authoring.conditions import Comparison, Condition, compare
from flyteform.authoring.graph import Gate, Overrides
from flyteform.authoring.interface import suggestion
from flyteform.authoring.tasks import PythonTask, checked_retries, checked_timeout
from flyteform.errors import DefinitionError
from flyteform.types.containers import ListFamily, MapFamily
from flyteform.types.plain import AnyFamily
from flyteform.types.records import StructFamily

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from flyteform.authoring.entity import Entity
    from flyteform.authoring.references import ReferenceEntity
    from flyteform.authoring.resources import Resources
    from flyteform.types.family import TypeFamily

_NODE_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_RESERVED = ("start-node", "end-node")


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A branch while its workflow is being declared; `drafts` are its nodes in the order of their calls."""

    name: str
    cases: tuple[tuple[Condition, Draft], ...]
    otherwise: Draft | None
    error: str
    drafts: tuple[Draft, ...]
    outputs: tuple[str, ...]

    @property
    def depth(self) -> int:
        """How many levels it takes in a message: four for each choice in another, two for each joined condition."""
        conditions = max(condition.depth for condition, _ in self.cases)
        inside = (draft.entity.depth for draft in self.drafts if isinstance(draft.entity, Choice))
        return max(3 + 2 * conditions, 4 + max(inside, default=0))

    @property
    def subject(self) -> str:
        """What messages call it."""
        return f"conditional {self.name!r}"


@dataclass(eq=False)
class Draft:
    """A node while its workflow is being declared; its id is decided at the end."""

    entity: Entity | ReferenceEntity | Gate | Choice
    bindings: list[tuple[str, Any]]
    place: str
    node_name: str | None = None
    after: list[Draft] = field(default_factory=list)
    overrides: Overrides = field(default_factory=Overrides)


class Ordered:
    """What can be put in order with `>>` and given overrides: everything that stands for a node."""

    _draft: Draft | None

    def __rshift__(self, other: Any) -> Any:
        """Run the node of `other` after this one; return `other`, so that orders can be chained."""
        if not isinstance(other, Ordered) or other._draft is None or self._draft is None:
            raise DefinitionError(
                f"{places.of_caller()}: >> puts two nodes in order, but one side is none",
                remedy="use it between results of tasks, workflows and launch plans",
            )
        other._draft.after.append(self._draft)
        return other

    def with_overrides(  # noqa: PLR0913 - every one is a setting that users of Flyte know
        self,
        *,
        node_name: str | None = None,
        name: str | None = None,
        requests: Resources | None = None,
        limits: Resources | None = None,
        retries: int | None = None,
        timeout: timedelta | int | None = None,
        interruptible: bool | None = None,
        container_image: str | None = None,
        cache: bool | None = None,
        cache_version: str | None = None,
        cache_serialize: bool | None = None,
    ) -> Self:
        """Change for this node alone what its task declares; `node_name` is the node's id, `name` what is shown."""
        place = places.of_caller()
        draft = self._draft
        if draft is None:
            raise DefinitionError(f"{place}: an input of the workflow is no node, so it has nothing to override")
        if node_name is not None:
            draft.node_name = _checked_node_id(node_name, place)
        given: dict[str, Any] = {
            "name": name,
            "requests": requests,
            "limits": limits,
            "retries": None if retries is None else checked_retries(retries, place),
            "timeout": checked_timeout(timeout, place),
            "interruptible": interruptible,
            "container_image": container_image,
            "cache": cache,
            "cache_version": cache_version,
            "cache_serialize": cache_serialize,
        }
        changed = {key: value for key, value in given.items() if value is not None}
        draft.overrides = dataclasses.replace(draft.overrides, **changed)
        _check_overrides(draft, place)
        return self


def _checked_node_id(node_id: str, place: str) -> str:
    if not _NODE_ID.fullmatch(node_id) or node_id in _RESERVED:
        raise DefinitionError(
            f"{place}: node_name={node_id!r} cannot be a node's id",
            remedy="use at most 63 lower-case letters, digits and dashes, the first a letter",
        )
    return node_id


def _check_overrides(draft: Draft, place: str) -> None:
    changed = draft.overrides
    entity = draft.entity
    task = getattr(entity, "task", entity)  # of a map task the task that it maps
    on_tasks = (changed.requests, changed.limits, changed.container_image, changed.cache)
    if not isinstance(task, PythonTask):
        if any(value is not None for value in on_tasks):
            raise DefinitionError(f"{place}: {entity.subject} is no task: only tasks have resources, images and caches")
    elif changed.cache and not (changed.cache_version or task.settings.cache_version):
        raise DefinitionError(f"{place}: cache=True needs a cache_version", remedy='add cache_version="1"')


class NodeHandle(Ordered):
    """The result of a call that has no outputs."""

    def __init__(self, draft: Draft) -> None:
        """Stand for the node."""
        self._draft = draft

    def __repr__(self) -> str:
        """Say what it is."""
        return f"<no output of {self._draft.entity.subject}>" if self._draft else "<no output>"


class NodeOutputs(tuple[Any, ...], Ordered):  # noqa: SLOT001 - a tuple takes no named slots
    """The results of a call with several or named outputs: unpack it, or take one by its name."""

    _draft: Draft | None
    _names: tuple[str, ...]

    @classmethod
    def of(cls, draft: Draft, promises: Sequence[Promise]) -> NodeOutputs:
        """Hold the promises of a node's outputs."""
        outputs = cls(promises)
        outputs._draft = draft
        outputs._names = tuple(one._output for one in promises)  # noqa: SLF001 - a class of this module
        return outputs

    def __getattr__(self, name: str) -> Any:
        """Return the output of that name."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._names:
            subject = self._draft.entity.subject if self._draft else "the call"
            hint = suggestion(name, self._names)
            raise DefinitionError(f"{places.of_caller()}: {subject} has no output {name!r}{hint}")
        return self[self._names.index(name)]


class Promise(Ordered):
    """One output of a node, or one input of the workflow, that has a type but no value yet."""

    def __init__(self, draft: Draft | None, output: str, family: TypeFamily, path: tuple[str | int, ...] = ()) -> None:
        """Stand for a part of an output; `draft` is None for inputs of the workflow."""
        self._draft = draft
        self._output = output
        self._family = family
        self._path = path

    def __repr__(self) -> str:
        """Say where the value will come from."""
        return f"<promise of {self._source()}: {self._family.name}>"

    def _source(self) -> str:
        steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self._path)
        if self._draft is None:
            return f"the workflow's input {self._output!r}{steps}"
        return f"output {self._output!r}{steps} of {self._draft.entity.subject}"

    def _part(self, step: str | int, family: TypeFamily) -> Promise:
        return Promise(self._draft, self._output, family, (*self._path, step))

    def __getattr__(self, name: str) -> Promise:
        """Return the promise of a field of a dataclass or a model."""
        if name.startswith("_"):
            raise AttributeError(name)
        if not isinstance(self._family, StructFamily):
            raise self._misuse(f".{name} needs a dataclass or a model")
        return self._field(name)

    def _field(self, name: str) -> Promise:
        fields = self._family.fields if isinstance(self._family, StructFamily) else {}
        if name not in fields:
            raise DefinitionError(
                f"{places.of_caller()}: {self._family.name} has no field {name!r}{suggestion(name, fields)}"
            )
        return self._part(name, fields[name])

    def __getitem__(self, key: str | int) -> Promise:
        """Return the promise of an item of a list, a value of a dict, or a field."""
        family = self._family
        if isinstance(family, ListFamily) and isinstance(key, int) and not isinstance(key, bool):
            if key < 0:
                raise self._misuse("an index counts from the start here, as the length is not known yet")
            return self._part(key, family.item)
        if isinstance(family, MapFamily) and isinstance(key, str):
            return self._part(key, family.item)
        if isinstance(family, StructFamily) and isinstance(key, str):
            return self._field(key)
        if isinstance(family, AnyFamily):
            raise self._misuse("the type of its parts is not declared; annotate it as dict[str, T] or as a dataclass")
        raise self._misuse(f"[{key!r}] does not fit")

    def _misuse(self, what: str) -> DefinitionError:
        return DefinitionError(
            f"{places.of_caller()}: {self._source()} is a promise of {self._family.name}: {what}",
            remedy="its value is known only when the workflow runs: do this inside a task",
        )

    def is_true(self) -> Comparison:
        """Compare with True, in a condition."""
        return compare("EQ", self, True)

    def is_false(self) -> Comparison:
        """Compare with False, in a condition."""
        return compare("EQ", self, False)

    def is_(self, value: bool) -> Comparison:
        """Compare with a truth value, in a condition."""
        return compare("EQ", self, value)

    def is_none(self) -> Comparison:
        """Compare with None, in a condition."""
        return compare("EQ", self, None)

    def __eq__(self, other: object) -> Comparison:  # type: ignore[override]
        """Compare, in a condition."""
        return compare("EQ", self, other)

    def __ne__(self, other: object) -> Comparison:  # type: ignore[override]
        """Compare, in a condition."""
        return compare("NEQ", self, other)

    def __gt__(self, other: object) -> Comparison:
        """Compare, in a condition."""
        return compare("GT", self, other)

    def __ge__(self, other: object) -> Comparison:
        """Compare, in a condition."""
        return compare("GTE", self, other)

    def __lt__(self, other: object) -> Comparison:
        """Compare, in a condition."""
        return compare("LT", self, other)

    def __le__(self, other: object) -> Comparison:
        """Compare, in a condition."""
        return compare("LTE", self, other)

    def __iter__(self) -> NoReturn:
        """Refuse: how many items there will be is not known."""
        raise self._misuse("it cannot be iterated or unpacked; map_task maps a task over a list")

    def __bool__(self) -> NoReturn:
        """Refuse: the branch to take is not known."""
        raise self._misuse("it cannot be tested with if, while, and, or, not")

    def __format__(self, format_spec: str) -> NoReturn:
        """Refuse: there is no value to write."""
        raise self._misuse("it cannot be written into text")

    def __str__(self) -> NoReturn:
        """Refuse: there is no value to write."""
        raise self._misuse("it cannot be turned into text")

    __hash__ = object.__hash__


def _refusal(what: str) -> Any:
    def refuse(self: Promise, *_: Any) -> NoReturn:
        raise self._misuse(what)

    return refuse


_REFUSED = {
    "it cannot be searched": "contains",
    "it cannot be calculated with": (
        "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow neg pos abs round xor"
    ),
    "it is no condition; compare it (x > 1, x.is_true()) and put each comparison into parentheses": "and rand or ror",
    "it cannot be used as a number": "int float complex index",
    "it has no length yet": "len",
    "it cannot be changed": "setitem delitem",
    "it cannot be called": "call",
    "it is no context": "enter exit",
}
for _what, _names in _REFUSED.items():
    for _name in _names.split():
        setattr(Promise, f"__{_name}__", _refusal(_what))
