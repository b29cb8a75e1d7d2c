"""The inputs and outputs of one execution's nodes: resolved, written and read, the recent ones kept in memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.types_pb2 import Error
from google.protobuf.message import DecodeError

from flyteform.errors import InvalidInputError, NotFoundError
from flyteform_dataplane.engine.graph import START_NODE, NodeKind
from flyteform_dataplane.engine.phases import ItemPhase
from flyteform_dataplane.errors import UserError
from flyteform_dataplane.runner.literals import collect, give_error, looked_into, referenced_nodes, resolve
from flyteform_dataplane.runner.waits import give_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flyteidl.core.interface_pb2 import Variable
    from flyteidl.core.literals_pb2 import Binding

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.engine.state import State
    from flyteform_dataplane.ports import ControlPlane
    from flyteform_dataplane.runner.context import ExecutionContext

# The kinds that look at their inputs themselves, so that these have to be at hand.
_LOOKING = (NodeKind.ARRAY, NodeKind.BRANCH)
# Flyte's greatest size of a literal in an object of its own.
_OFFLOADED_BYTES = 1 << 30
# What an entry of the cache takes besides its literals: most are empty, or nearly so.
_ENTRY_BYTES = 1024


class LiteralCache:
    """Literals by their URI, the least used thrown out when all of it weighs more than `limit` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._kept: OrderedDict[str, tuple[LiteralMap, int]] = OrderedDict()

    def get(self, uri: str) -> LiteralMap | None:
        """Return what is kept."""
        kept = self._kept.get(uri)
        if kept is None:
            return None
        self._kept.move_to_end(uri)
        return kept[0]

    def put(self, uri: str, literals: LiteralMap, size: int) -> None:
        """Keep literals of `size` bytes; one that would fill a quarter is not kept."""
        weight = size + _ENTRY_BYTES
        if uri in self._kept or weight > self._limit // 4:
            return
        self._kept[uri] = literals, weight
        self._weight += weight
        while self._weight > self._limit:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._weight -= dropped

    def drop(self, uri: str) -> None:
        """Keep them no more."""
        _, weight = self._kept.pop(uri, (None, 0))
        self._weight -= weight


class _NodeInputs:
    """The inputs of one node, and whose turn it is to make them: many items may want the same at the same time."""

    __slots__ = ("literals", "turn")

    def __init__(self) -> None:
        self.literals: LiteralMap | None = None
        self.turn = asyncio.Lock()


class ExecutionData:
    """What flows between the nodes of one execution. `UserError` where bindings or outputs are wrong."""

    def __init__(
        self,
        context: ExecutionContext,
        state: State,
        objects: ObjectStore,
        control: ControlPlane,
        cache: LiteralCache,
        output_bytes: int,
    ) -> None:
        self._context = context
        self._state = state
        self._objects = objects
        self._control = control
        self._cache = cache
        self._output_bytes = output_bytes
        self._inputs: dict[str, _NodeInputs] = {}
        self._preparing: set[asyncio.Task[LiteralMap]] = set()
        self._cached: list[str] = []

    async def begin(self) -> None:
        """Write the execution's inputs as the start node's outputs, where people look for them: there may be none."""
        inputs = self._context.lease.inputs
        await self._put(self._context.node_outputs_uri(START_NODE), inputs, durable=bool(inputs.literals))

    async def clear(self, life: str = "") -> bool:
        """Remove what a former life of the execution, revoked since, has left: it would pass for results of this one.

        With a name for this life that is noted, and what has begun in it stays: False is returned then.
        """
        prefix = self._context.lease.metadata_prefix
        note = f"{prefix}/{START_NODE}/life"
        if life and await self._content(note) == life.encode():
            return False
        async for left in self._objects.list(f"{prefix}/"):
            self._cache.drop(left.uri)
            await self._objects.delete(left.uri)
        if life:
            await self._objects.put(note, life.encode())
        return True

    async def inputs(self, node: str) -> LiteralMap:
        """Return the resolved inputs of a node; its file is written once, before they are returned first."""
        kept = self._inputs.get(node)
        if kept is None:
            kept = self._inputs[node] = _NodeInputs()
        if kept.literals is None:
            async with kept.turn:  # whoever ends or fails in it leaves it to the next one
                if kept.literals is None:
                    kept.literals = await self._make_inputs(node)
        return kept.literals

    def prepare_inputs(self, node: str) -> None:
        """Begin to resolve and write the inputs of a node that will be asked for soon.

        Safe before the step that wants it is durable: the same inputs follow from the same outputs at any time.
        """
        task = asyncio.create_task(self.inputs(node))
        self._preparing.add(task)
        task.add_done_callback(self._preparing.discard)
        task.add_done_callback(look_at_error)

    async def close(self) -> None:
        """Give up what is being prepared, and keep nothing at hand: who may want it still reads it."""
        await give_up(self._preparing)
        for uri in self._cached:
            self._cache.drop(uri)

    def forget_inputs(self, node: str) -> None:
        """Give up the memory of a node that is done."""
        self._inputs.pop(node, None)

    async def read_outputs(self, uri: str) -> LiteralMap:
        """Return outputs; `NotFoundError` if there are none."""
        kept = self._cache.get(uri)
        if kept is not None:
            return kept
        content = await self._objects.get(uri, limit=self._output_bytes)
        try:
            literals = LiteralMap.FromString(content)
        except DecodeError as error:
            raise UserError(f"{uri} holds no outputs that can be read") from error
        self._keep(uri, literals, len(content))
        return literals

    async def write_outputs(self, uri: str, literals: LiteralMap) -> None:
        """Write outputs and keep them at hand."""
        await self._put(uri, literals)

    async def write_no_outputs(self, uri: str) -> None:
        """Write that a task which declares no outputs has none, for others who look for them.

        Not durable: `given` goes without it.
        """
        await self._put(uri, LiteralMap(), durable=False)

    async def given(self, node: str, uri: str) -> LiteralMap:
        """Return the outputs of a node, or of an item of it, that has succeeded."""
        task = self._context.graph.nodes[node].task
        if task is not None and not task.interface.outputs.variables:
            return LiteralMap()
        return await self.read_outputs(uri)

    async def take_over(self, node: str) -> bool:
        """Write the outputs of a former execution's node as this one's; False if they are gone."""
        former = self._context.former.get(node)
        if former is None or not former.output_uri:
            return False
        await self.inputs(node)
        try:
            outputs = await self.read_outputs(former.output_uri)
        except (NotFoundError, InvalidInputError, UserError):
            return False
        await self._put(self._context.node_outputs_uri(node), outputs)
        return True

    async def enter_workflow(self, node: str) -> None:
        """Write the inputs of a sub-workflow, also as the outputs of its start node."""
        await self._put(
            self._context.node_outputs_uri(self._context.graph.inside(node, START_NODE)), await self.inputs(node)
        )

    async def collect_workflow(self, node: str) -> None:
        """Write the outputs of a workflow as those of its end node, and of the node that runs it."""
        record = self._context.graph.nodes[node]
        template = self._context.graph.workflows[record.scope]
        outputs = await self._outputs_of(template.outputs, record.scope)
        resolved = resolve(template.outputs, outputs, template.interface.outputs.variables)
        await self._put(self._context.node_outputs_uri(node), resolved)
        if record.scope:
            await self._put(self._context.node_outputs_uri(record.scope, self._attempt(record.scope)), resolved)

    async def collect_branch(self, node: str) -> None:
        """Write the outputs of the node that a branch has taken as the branch's."""
        for child in self._context.graph.nodes[node].children:
            if (state := self._state.nodes.get(child)) is not None and state.phase.good:
                uri = self._context.node_outputs_uri(child, self._attempt(child))
                await self._put(self._context.node_outputs_uri(node), await self.given(child, uri))

    async def collect_array(self, node: str) -> None:
        """Write the outputs of an array from those of its items; a failed item gives none."""
        items = self._state.nodes[node].items
        if items is None:
            raise UserError(f"node {node} has no items to collect")
        found: list[LiteralMap | None] = []
        for index, phase in enumerate(items.phases):
            if phase == ItemPhase.SUCCEEDED:
                prefix = self._context.output_prefix(node, index, items.attempt(index))
                found.append(await self.given(node, f"{prefix}/outputs.pb"))
            else:
                found.append(None)
        names = await self._output_names(node)
        collected = await asyncio.to_thread(collect, names, found) if len(found) > 1000 else collect(names, found)  # noqa: PLR2004 - small ones are done sooner than a thread starts
        await self._put(self._context.node_outputs_uri(node), collected)

    async def _output_names(self, node: str) -> list[str]:
        """Return the names of what each item of an array gives."""
        record = self._context.graph.nodes[node]
        if record.task is not None:
            return sorted(record.task.interface.outputs.variables)
        if record.target is None:
            raise UserError(f"node {node} has nothing that gives outputs")
        return sorted((await self._control.launch_plan(record.target)).outputs.variables)

    async def _make_inputs(self, node: str) -> LiteralMap:
        record = self._context.graph.nodes[node]
        outputs = await self._outputs_of(record.bindings, record.scope)
        variables = self._input_variables(node)
        for spec_id, var in looked_into(record.bindings):
            outputs[spec_id] = await self._loaded(outputs[spec_id], (var,))
        resolved = resolve(record.bindings, outputs, variables)
        if record.kind in _LOOKING:
            resolved = await self._loaded(resolved, resolved.literals)
        if self._is_failure_node(node):
            failure = self._state.nodes[record.scope].failure if record.scope else self._state.failure
            message = "" if failure is None else failure.message
            give_error(resolved, variables or {}, Error(failed_node_id=record.spec_id, message=message))
        # Not durable: after a crash they are made again before an attempt that needs them starts.
        await self._objects.put(self._context.inputs_uri(node), resolved.SerializeToString(), durable=False)
        return resolved

    async def _loaded(self, literals: LiteralMap, names: Iterable[str]) -> LiteralMap:
        """Return the literals, with those of these names that lie in an object of their own read from there."""
        away = [name for name in names if literals.literals[name].HasField("offloaded_metadata")]
        if not away:
            return literals
        loaded = LiteralMap()
        loaded.CopyFrom(literals)
        for name in away:
            uri = literals.literals[name].offloaded_metadata.uri
            try:
                loaded.literals[name].ParseFromString(await self._objects.get(uri, limit=_OFFLOADED_BYTES))
            except (NotFoundError, InvalidInputError, DecodeError) as error:
                raise UserError(f"{name!r} lies in {uri}, which holds no value that can be read") from error
        return loaded

    def _is_failure_node(self, node: str) -> bool:
        graph, scope = self._context.graph, self._context.graph.nodes[node].scope
        return node == (graph.nodes[scope].failure_node if scope else graph.failure_node)

    def _input_variables(self, node: str) -> Mapping[str, Variable] | None:
        graph = self._context.graph
        task, workflow = graph.nodes[node].task, graph.workflows.get(node)
        if task is not None:
            return task.interface.inputs.variables
        return workflow.interface.inputs.variables if workflow is not None else None

    async def _outputs_of(self, bindings: Sequence[Binding], scope: str) -> dict[str, LiteralMap]:
        """Return the outputs that bindings in a workflow name, by the ids that the nodes have in it."""
        outputs: dict[str, LiteralMap] = {}
        for spec_id in sorted(referenced_nodes(bindings)):
            if spec_id != START_NODE:
                node = self._context.graph.inside(scope, spec_id)
                outputs[spec_id] = await self.read_outputs(self._context.node_outputs_uri(node, self._attempt(node)))
            elif scope:
                outputs[spec_id] = await self.inputs(scope)
            else:
                outputs[spec_id] = self._context.lease.inputs
        return outputs

    def _attempt(self, node: str) -> int:
        """Return the attempt whose outputs are the node's: the last one of a plain task."""
        state = self._state.nodes.get(node)
        if state is None or state.items is None or self._context.is_array(node):
            return 0
        return state.items.attempt(0)

    async def _content(self, uri: str) -> bytes:
        try:
            return await self._objects.get(uri)
        except NotFoundError:
            return b""

    async def _put(self, uri: str, literals: LiteralMap, *, durable: bool = True) -> None:
        content = literals.SerializeToString()
        await self._objects.put(uri, content, durable=durable)
        self._keep(uri, literals, len(content))

    def _keep(self, uri: str, literals: LiteralMap, size: int) -> None:
        self._cache.put(uri, literals, size)
        self._cached.append(uri)


def look_at_error(task: asyncio.Task[Any]) -> None:
    """Take note of an error that nobody may wait for any more, as an abort can overtake it."""
    if not task.cancelled():
        task.exception()
