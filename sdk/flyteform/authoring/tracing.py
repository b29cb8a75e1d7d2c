"""Declaring a workflow: its function runs once on promises, and each call that it makes becomes a node."""

from __future__ import annotations

import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flyteform.authoring import places
from flyteform.authoring.graph import WORKFLOW_INPUTS, Binding, Constant, Graph, ListOf, MapOf, Node, Reference
from flyteform.authoring.interface import REQUIRED
from flyteform.authoring.promise import Draft, NodeHandle, NodeOutputs, Promise
from flyteform.errors import DefinitionError, FlyteformError, TypeMismatchError
from flyteform.types.containers import ListFamily, MapFamily
from flyteform.types.family import ValueMismatchError
from flyteform.types.plain import PlainDictFamily
from flyteform.types.registry import family_of
from flyteform.types.unions import UnionFamily

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteform.authoring.entity import Entity
    from flyteform.authoring.workflows import Workflow
    from flyteform.types.family import TypeFamily

_drafts: ContextVar[list[Draft] | None] = ContextVar("drafts of the workflow being declared", default=None)
_open: ContextVar[tuple[Workflow, ...]] = ContextVar("workflows being declared", default=())


def active() -> bool:
    """Tell whether a workflow is being declared, so that calls have to become nodes."""
    return _drafts.get() is not None


def trace(workflow: Workflow) -> Graph:
    """Run the workflow's function on promises and return its graph."""
    drafts: list[Draft] = []
    promises = {one.name: Promise(None, one.name, family_of(one.python_type)) for one in workflow.interface.inputs}
    reset, reopen = _drafts.set(drafts), _open.set((*_open.get(), workflow))
    try:
        result = workflow.fn(**promises)
    except FlyteformError:
        raise
    except Exception as error:
        raise DefinitionError(f"{_line_of(error, workflow)}: {workflow.subject}: {_what(error)}") from error
    finally:
        _drafts.reset(reset)
        _open.reset(reopen)
    graph = _frozen(workflow, drafts, result)
    graph.in_order()  # refuses nodes that wait for each other
    return graph


def add_node(entity: Entity, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
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
    drafts = _drafts.get()
    if drafts is not None:
        drafts.append(draft)
    outputs = entity.interface.outputs
    promises = [Promise(draft, one.name, family_of(one.python_type)) for one in outputs]
    if not outputs:
        return NodeHandle(draft)
    if len(outputs) == 1 and entity.interface.output_class is None:
        return promises[0]
    return NodeOutputs.of(draft, promises)


def _bindings(entity: Entity, kwargs: Mapping[str, Any], place: str) -> list[tuple[str, Any]]:
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


def _frozen(workflow: Workflow, drafts: list[Draft], result: Any) -> Graph:
    ids: dict[Draft | None, str] = {None: WORKFLOW_INPUTS}
    for index, draft in enumerate(drafts):
        node_id = draft.node_name or f"n{index}"
        if node_id in ids.values():
            raise DefinitionError(f"{draft.place}: two nodes of {workflow.subject} are named {node_id!r}")
        ids[draft] = node_id
    nodes = tuple(_node(draft, ids) for draft in drafts)
    return Graph(nodes=nodes, outputs=_outputs(workflow, result, ids))


def _node(draft: Draft, ids: Mapping[Draft | None, str]) -> Node:
    return Node(
        id=ids[draft],
        entity=draft.entity,
        bindings=tuple((name, _resolved(pending, ids)) for name, pending in draft.bindings),
        after=tuple(dict.fromkeys(ids[before] for before in draft.after)),
        overrides=draft.overrides,
        place=draft.place,
    )


def _outputs(workflow: Workflow, result: Any, ids: Mapping[Draft | None, str]) -> tuple[tuple[str, Binding], ...]:
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
                raise DefinitionError(f"{pending!r} belongs to another workflow", remedy="pass it as an input")
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
