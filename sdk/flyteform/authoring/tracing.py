"""Declaring a workflow: its function runs once on promises, and each call that it makes becomes a node."""

from __future__ import annotations

import traceback
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from flyteform.authoring import places
from flyteform.authoring.conditions import Comparison, Condition, Conjunction
from flyteform.authoring.graph import (
    WORKFLOW_INPUTS,
    Binding,
    Branch,
    Case,
    Constant,
    Graph,
    ListOf,
    MapOf,
    Node,
    Reference,
    operand_name,
)
from flyteform.authoring.interface import REQUIRED
from flyteform.authoring.promise import Choice, Draft, NodeHandle, NodeOutputs, Promise
from flyteform.errors import DefinitionError, FlyteformError, TaskFailedError, TypeMismatchError
from flyteform.types.containers import ListFamily, MapFamily
from flyteform.types.family import ValueMismatchError
from flyteform.types.plain import PlainDictFamily
from flyteform.types.registry import family_of
from flyteform.types.unions import UnionFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flyteform.authoring.branches import ConditionalSection
    from flyteform.authoring.entity import Entity
    from flyteform.authoring.references import ReferenceEntity
    from flyteform.authoring.tasks import PythonTask
    from flyteform.authoring.workflows import Workflow
    from flyteform.types.family import TypeFamily


@dataclass(eq=False)
class _Scope:
    """What has been called so far, and the conditionals that are not complete, the innermost last."""

    drafts: list[Draft] = field(default_factory=list)
    sections: list[ConditionalSection] = field(default_factory=list)


_scope: ContextVar[_Scope | None] = ContextVar("the workflow being declared", default=None)
_open: ContextVar[tuple[Workflow, ...]] = ContextVar("workflows being declared", default=())


def active() -> bool:
    """Tell whether a workflow is being declared, so that calls have to become nodes."""
    return _scope.get() is not None


def trace(workflow: Workflow) -> Graph:
    """Run the workflow's function on promises and return its graph."""
    promises = {one.name: Promise(None, one.name, family_of(one.python_type)) for one in workflow.interface.inputs}
    try:
        drafts, result = _called(workflow, lambda: workflow.fn(**promises))
    except FlyteformError:
        raise
    except Exception as error:
        raise DefinitionError(f"{_line_of(error, workflow)}: {workflow.subject}: {_what(error)}") from error
    graph = _frozen(workflow, drafts, result, "n")
    if workflow.on_failure is not None:
        graph = replace(graph, failure_node=_failure_node(workflow, workflow.on_failure, promises))
    graph.in_order()  # refuses nodes that wait for each other
    return graph


def unfold(task: PythonTask, inputs: Mapping[str, Any]) -> Graph:
    """Run a dynamic task's function on its inputs and return the graph of the calls that it makes.

    Raises `TaskFailedError` for what the function itself raises, `DefinitionError` for calls that cannot be.
    """
    try:
        drafts, result = _called(None, lambda: task.fn(**inputs))
    except (Exception, SystemExit) as error:
        raise TaskFailedError(task.name, error) from error
    graph = _frozen(task, drafts, result, "dn")
    graph.in_order()
    return graph


def _called(workflow: Workflow | None, function: Callable[[], Any]) -> tuple[list[Draft], Any]:
    """Call a function that declares nodes; return these and what it returns."""
    scope = _Scope()
    reset = _scope.set(scope)
    reopen = _open.set((*_open.get(), workflow) if workflow is not None else ())
    try:
        result = function()
    finally:
        _scope.reset(reset)
        _open.reset(reopen)
    if scope.sections:
        section = scope.sections[-1]
        raise DefinitionError(
            f"{section.place}: conditional {section.name!r} has no else",
            remedy='end it with .else_().then(…) or .else_().fail("why")',
        )
    return scope.drafts, result


def begin_section(section: ConditionalSection) -> None:
    """Take the calls that follow for those of a conditional."""
    scope = _scope.get()
    if scope is not None:
        scope.sections.append(section)


def end_section(section: ConditionalSection) -> None:
    """Take the calls that follow for those of whatever the conditional is in."""
    scope = _scope.get()
    if scope is None or not scope.sections or scope.sections[-1] is not section:
        raise DefinitionError(
            f"{places.of_caller()}: conditional {section.name!r} is not the one that was begun last",
            remedy="end each conditional where it is begun",
        )
    scope.sections.pop()


def move_out(section: ConditionalSection, drafts: list[Draft]) -> None:
    """Take the nodes that were called last within a conditional for nodes of whatever that is in."""
    scope = _scope.get()
    if scope is not None and drafts:
        outer = scope.sections[-2] if len(scope.sections) > 1 else scope
        outer.drafts.extend(drafts)
        del section.drafts[-len(drafts) :]


def add_draft(draft: Draft) -> None:
    """Add a node to what is being declared."""
    scope = _scope.get()
    if scope is not None:
        (scope.sections[-1] if scope.sections else scope).drafts.append(draft)


def result_of(draft: Draft, outputs: Mapping[str, TypeFamily], *, named: bool = False) -> Any:
    """Return what a call gives: nothing, the promise of its one output, or the promises of all."""
    promises = [Promise(draft, name, family) for name, family in outputs.items()]
    if not promises:
        return NodeHandle(draft)
    return promises[0] if len(promises) == 1 and not named else NodeOutputs.of(draft, promises)


def add_node(entity: Entity | ReferenceEntity, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Add a node that runs `entity` and return the promises of its outputs."""
    place = places.of_caller()
    if args:
        names = ", ".join(f"{one.name}=…" for one in entity.interface.inputs[: len(args)])
        raise DefinitionError(
            f"{place}: {entity.subject} is called with unnamed inputs",
            remedy=f"name them: {entity.short_name}({names})",
        )
    if entity in _open.get():
        raise DefinitionError(
            f"{place}: {entity.subject} calls itself", remedy="a workflow's graph is finite: unroll it"
        )
    draft = Draft(entity=entity, bindings=_bindings(entity, kwargs, place), place=place)
    add_draft(draft)
    outputs = {one.name: family_of(one.python_type) for one in entity.interface.outputs}
    return result_of(draft, outputs, named=entity.interface.output_class is not None)


def _bindings(entity: Entity | ReferenceEntity, kwargs: Mapping[str, Any], place: str) -> list[tuple[str, Any]]:
    bindings = []
    try:
        entity.interface.refuse_unknown(kwargs, entity.subject)
    except FlyteformError as error:
        raise DefinitionError(f"{place}: {error.message}", remedy=error.remedy) from error
    for one in entity.interface.inputs:
        value = kwargs.get(one.name, one.default)
        family = family_of(one.python_type)
        if value is REQUIRED:
            raise DefinitionError(
                f"{place}: {entity.subject} needs the input {one.name!r} of type {family.name}, which is not bound",
                remedy=f"add {one.name}=… to the call",
            )
        bindings.append((one.name, bind(value, family, f"{place}: input {one.name!r} of {entity.subject}")))
    return bindings


def bind(value: Any, family: TypeFamily, subject: str) -> Any:
    """Return what an input is bound to: a promise, a constant, or a list or dict that holds promises."""
    match value:
        case Promise():
            if not family.accepts(value._family):  # noqa: SLF001 - a promise has no public names but the user's
                source = value._source()  # noqa: SLF001 - as above
                raise TypeMismatchError(
                    f"{subject} takes {family.name}, but {source} is {value._family.name}"  # noqa: SLF001 - as above
                )
            return value
        case NodeHandle():
            raise TypeMismatchError(f"{subject} takes {family.name}, but is given {value!r}")
        case NodeOutputs():
            names = ", ".join(f".{name}" for name in value._names)  # noqa: SLF001 - as above
            raise TypeMismatchError(f"{subject} takes one value, but is given {len(value)}", remedy=f"choose {names}")
        case list() | dict() if _holds_promise(value):
            return _bind_parts(value, family, subject)
        case _:
            try:
                return Constant(family.check(value), family)
            except ValueMismatchError as error:
                raise TypeMismatchError(f"{subject}{error.path}: {error.problem}", remedy=error.remedy) from error


def _holds_promise(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(part, (Promise, NodeHandle, NodeOutputs)) or _holds_promise(part) for part in parts)


def _bind_parts(value: list[Any] | dict[Any, Any], family: TypeFamily, subject: str) -> Any:
    wanted = ListFamily if isinstance(value, list) else MapFamily
    if isinstance(family, UnionFamily):
        family = next((variant for variant in family.variants if isinstance(variant, wanted)), family)
    if isinstance(family, PlainDictFamily):
        raise TypeMismatchError(
            f"{subject} is a bare dict, which cannot hold promises", remedy="annotate it as dict[str, T]"
        )
    if isinstance(family, ListFamily) and isinstance(value, list):
        return [bind(item, family.item, f"{subject}[{index}]") for index, item in enumerate(value)]
    if isinstance(family, MapFamily) and isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeMismatchError(f"{subject}: expected keys of type str, got {key!r}")
        return {key: bind(value[key], family.item, f"{subject}[{key!r}]") for key in sorted(value)}
    raise TypeMismatchError(f"{subject} takes {family.name}, but is given a {type(value).__name__} of promises")


def _failure_node(workflow: Workflow, handler: PythonTask | Workflow, promises: Mapping[str, Promise]) -> Node:
    """Return the node that runs when the workflow has failed: it takes the workflow's inputs, as flytekit's does."""
    declared = handler.interface.inputs_by_name
    where = f"{workflow.place}: {workflow.subject}: on_failure={handler.short_name}"
    for one in workflow.interface.inputs:
        if one.name not in declared:
            raise DefinitionError(f"{where} lacks the workflow's input {one.name!r}", remedy="take all of them")
    for one in handler.interface.inputs:
        if one.required and one.name not in promises:
            raise DefinitionError(
                f"{where} has the input {one.name!r}, which the workflow has not",
                remedy=f"make it optional: {one.name}: … | None = None",
            )
    drafts, _ = _called(workflow, lambda: handler(**promises))
    return _node(drafts[0], "fn0", {None: WORKFLOW_INPUTS})


def _frozen(owner: Workflow | PythonTask, drafts: list[Draft], result: Any, prefix: str) -> Graph:
    ids = _ids(drafts, prefix, owner.subject)
    nodes = tuple(_node(draft, ids[draft], ids) for draft in drafts)
    return Graph(nodes=nodes, outputs=_outputs(owner, result, ids))


def _ids(drafts: Iterable[Draft], prefix: str, subject: str) -> dict[Draft | None, str]:
    ids: dict[Draft | None, str] = {None: WORKFLOW_INPUTS}
    taken: set[str] = set()
    for index, draft in enumerate(drafts):
        node_id = draft.node_name or f"{prefix}{index}"
        if node_id in taken:
            raise DefinitionError(f"{draft.place}: two nodes of {subject} are named {node_id!r}")
        taken.add(node_id)
        ids[draft] = node_id
    return ids


def _node(draft: Draft, node_id: str, ids: Mapping[Draft | None, str]) -> Node:
    entity = draft.entity
    if isinstance(entity, Choice):
        branch = _branch(entity, ids)
        operands = [operand for case in branch.cases for operand in _operands(case.condition)]
        bindings: Iterable[tuple[str, Binding]] = sorted({operand_name(each): each for each in operands}.items())
    else:
        bindings = [(name, _resolved(pending, ids)) for name, pending in draft.bindings]
    return Node(
        id=node_id,
        entity=branch if isinstance(entity, Choice) else entity,
        bindings=tuple(bindings),
        after=tuple(dict.fromkeys(_id_of(before, ids) for before in draft.after)),
        overrides=draft.overrides,
        place=draft.place,
    )


def _branch(choice: Choice, ids: Mapping[Draft | None, str]) -> Branch:
    """Freeze a branch: its nodes count from 0 by themselves, and read from the nodes around it."""
    own = _ids(choice.drafts, "n", choice.subject)
    cases = tuple(Case(_condition(condition, ids), _node(node, own[node], ids)) for condition, node in choice.cases)
    last = choice.otherwise
    otherwise = None if last is None else _node(last, own[last], ids)
    return Branch(choice.name, cases, otherwise, choice.error, choice.outputs)


def _condition(condition: Condition, ids: Mapping[Draft | None, str]) -> Condition:
    match condition:
        case Conjunction(sign=sign, left=left, right=right):
            return Conjunction(sign, _condition(left, ids), _condition(right, ids))
        case Comparison(sign=sign, left=left, right=right):
            return Comparison(sign, _resolved(left, ids), _resolved(right, ids))
        case _:
            raise TypeError(condition)


def _operands(condition: Condition) -> list[Reference]:
    match condition:
        case Conjunction(left=left, right=right):
            return _operands(left) + _operands(right)
        case Comparison(left=left, right=right):
            return [each for each in (left, right) if isinstance(each, Reference)]
        case _:
            raise TypeError(condition)


def _id_of(draft: Draft, ids: Mapping[Draft | None, str]) -> str:
    if draft not in ids:
        raise DefinitionError(
            f"{draft.place}: this node of {draft.entity.subject} cannot be waited for from elsewhere",
            remedy="it belongs to another workflow, or to a case of a conditional: use the result of that",
        )
    return ids[draft]


def _outputs(
    workflow: Workflow | PythonTask, result: Any, ids: Mapping[Draft | None, str]
) -> tuple[tuple[str, Binding], ...]:
    outputs = workflow.interface.outputs
    if not outputs and isinstance(result, NodeHandle):
        result = None
    try:
        values = workflow.interface.split(result, workflow.subject)
    except TypeMismatchError as error:
        raise DefinitionError(f"{workflow.place}: {error.message}", remedy=error.remedy) from error
    bound = []
    for one, value in zip(outputs, values, strict=True):
        subject = f"{workflow.place}: output {one.name!r} of {workflow.subject}"
        bound.append((one.name, _resolved(bind(value, family_of(one.python_type), subject), ids)))
    return tuple(bound)


def _resolved(pending: Any, ids: Mapping[Draft | None, str]) -> Binding:
    match pending:
        case Promise():
            draft, output, path = pending._draft, pending._output, pending._path  # noqa: SLF001 - see bind
            if draft not in ids:
                raise DefinitionError(
                    f"{pending!r} belongs to another workflow, or to a case of a conditional",
                    remedy="pass it as an input, or use the result of the conditional",
                )
            return Reference(node_id=ids[draft], output=output, path=path)
        case list():
            return ListOf(tuple(_resolved(item, ids) for item in pending))
        case dict():
            return MapOf(tuple((key, _resolved(item, ids)) for key, item in pending.items()))
        case Constant():
            return pending
        case _:
            raise TypeError(pending)


def _line_of(error: BaseException, workflow: Workflow) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not places.is_ours(frame.filename)]
    return f"{places.shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else workflow.place


def _what(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
