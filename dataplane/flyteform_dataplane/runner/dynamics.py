"""What dynamic tasks make: their futures compiled, kept, and grown into the graph of the execution."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flyteidl.admin.workflow_pb2 import WorkflowSpec
from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.identifier_pb2 import Identifier, ResourceType

from flyteform.compiler import CompileErrors, IdKey, apply_defaults, compile_task, compile_workflow, requirements
from flyteform.errors import NotFoundError
from flyteform_dataplane.engine.changes import ItemChanged, decode
from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.indexing import index_growth
from flyteform_dataplane.engine.phases import ItemPhase
from flyteform_dataplane.engine.snapshots import restore
from flyteform_dataplane.errors import UserError

if TYPE_CHECKING:
    from flyteidl.core.dynamic_job_pb2 import DynamicJobSpec

    from flyteform.objects.ports import ObjectStore
    from flyteform_dataplane.ports import ControlPlane
    from flyteform_dataplane.runner.context import ExecutionContext
    from flyteform_dataplane.runner.log import LoggedExecution

_BUILD_FAILED = "DynamicWorkflowBuildFailed"
_COMPILED = "futures_compiled.pb"
_LARGEST = 256 * 1024 * 1024


class Dynamics:
    """Turns the futures of one execution's dynamic tasks into nodes."""

    def __init__(self, context: ExecutionContext, objects: ObjectStore, control: ControlPlane) -> None:
        self._context = context
        self._objects = objects
        self._control = control

    async def unfold(self, node: str, attempt: int, job: DynamicJobSpec) -> Failure | None:
        """Compile the futures and add their nodes to the graph; return why that cannot be.

        What was compiled is kept before the engine hears of it, as a restart needs it to read the log.
        """
        try:
            spec, identifier = self._workflow(node, attempt, job)
            needed = requirements(spec)
            plans = {key: await self._control.launch_plan(key.to_message()) for key in needed.launch_plans}
            tasks = {IdKey.from_message(task.id): compile_task(task, task.id) for task in job.tasks}
            apply_defaults(tasks.values(), self._context.lease.task_resources.defaults)
            closure = await asyncio.to_thread(compile_workflow, spec, identifier, tasks=tasks, launch_plans=plans)
        except (CompileErrors, NotFoundError) as error:
            return Failure(_BUILD_FAILED, f"what node {node} made cannot be run: {error.message}")
        uri = compiled_uri(self._context, node, attempt)
        await self._objects.put(uri, closure.SerializeToString(deterministic=True))
        return await grow(self._context, node, attempt, closure)

    def _workflow(self, node: str, attempt: int, job: DynamicJobSpec) -> tuple[WorkflowSpec, Identifier]:
        task = self._context.graph.nodes[node].task
        if task is None:
            raise UserError(f"node {node} has no task that could have made others")
        execution = self._context.id
        identifier = Identifier(
            resource_type=ResourceType.WORKFLOW,
            project=execution.project,
            domain=execution.domain,
            name=f"dynamic_{task.id.name}",
            version=f"{execution.name}-{node}-{attempt}",
        )
        spec = WorkflowSpec(sub_workflows=job.subworkflows)
        spec.template.id.CopyFrom(identifier)
        spec.template.interface.inputs.SetInParent()
        spec.template.interface.outputs.CopyFrom(task.interface.outputs)
        spec.template.nodes.extend(job.nodes)
        spec.template.outputs.extend(job.outputs)
        return spec, identifier


async def grow(context: ExecutionContext, node: str, attempt: int, closure: CompiledWorkflowClosure) -> Failure | None:
    """Add the nodes of a compiled dynamic workflow to the graph, once."""
    if context.graph.grown.get(node) == attempt:
        return None
    growth = await asyncio.to_thread(index_growth, context.graph, node, attempt, closure)
    if isinstance(growth, Failure):
        return growth
    context.graph.grow(growth)
    context.dynamics.setdefault(node, {})[attempt] = closure
    return None


async def regrow(context: ExecutionContext, objects: ObjectStore, logged: LoggedExecution) -> None:
    """Add all that dynamic tasks have made up to the end of the log, which cannot be read without it."""
    found = {} if logged.snapshot is None else restore(logged.snapshot.state).unfolded
    for step in logged.steps:
        for change in decode(step.changes):
            if isinstance(change, ItemChanged) and change.after is ItemPhase.UNFOLDED:
                found.setdefault(change.node, []).append(change.attempt)
    for node, attempt in ((node, attempt) for node, attempts in found.items() for attempt in attempts):
        if attempt not in context.dynamics.get(node, {}):
            content = await objects.get(compiled_uri(context, node, attempt), limit=_LARGEST)
            await grow(context, node, attempt, CompiledWorkflowClosure.FromString(content))


def compiled_uri(context: ExecutionContext, node: str, attempt: int) -> str:
    """Where the compiled workflow of a dynamic task is kept."""
    return f"{context.output_prefix(node, 0, attempt)}/{_COMPILED}"
