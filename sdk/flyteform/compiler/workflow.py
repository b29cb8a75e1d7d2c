"""A workflow specification and all that it calls become one closure that a data plane can run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core import compiler_pb2, identifier_pb2

from flyteform.compiler import text
from flyteform.compiler.building import Library
from flyteform.compiler.errors import Collector, ErrorKind
from flyteform.compiler.graph import START, walk
from flyteform.compiler.ids import IdKey
from flyteform.compiler.requirements import combine, survey
from flyteform.compiler.templates import compile_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.admin.workflow_pb2 import WorkflowSpec
    from flyteidl.core.compiler_pb2 import CompiledTask, CompiledWorkflow, CompiledWorkflowClosure
    from flyteidl.core.identifier_pb2 import Identifier

    from flyteform.compiler.building import LaunchPlanInterface
    from flyteform.compiler.requirements import References, Requirements

_MOST_COMPILATIONS = 1000


def compile_workflow(
    spec: WorkflowSpec,
    identifier: Identifier,
    *,
    tasks: Mapping[IdKey, CompiledTask],
    launch_plans: Mapping[IdKey, LaunchPlanInterface],
) -> CompiledWorkflowClosure:
    """Compile `spec` under the id `identifier`, with the entities that `requirements(spec)` names.

    The closure holds every sub-workflow of the spec in its order and the required tasks sorted by id; nothing that
    was given is changed. Serialise with `deterministic=True` to get the same bytes each time. Raises CompileErrors
    with every finding.
    """
    errors = Collector()
    closure = compiler_pb2.CompiledWorkflowClosure()
    closure.primary.template.CopyFrom(spec.template)
    closure.primary.template.id.CopyFrom(identifier)
    closure.primary.template.id.resource_type = identifier_pb2.WORKFLOW
    subs = _index(closure, spec, errors)
    uses = survey(closure.primary.template, {key: sub.template for key, sub in subs.items()})
    required = combine(uses)
    _check_present(required, tasks, launch_plans, errors)
    runs = _count_runs(closure.primary.template.id, uses, subs, errors)
    errors.raise_if_any()
    for key in required.tasks:
        closure.tasks.add().CopyFrom(tasks[key])
    library = Library(dict(zip(required.tasks, closure.tasks, strict=True)), launch_plans, subs)
    compile_template(closure.primary, library, errors)
    for key, times in runs.items():
        for _ in range(times):
            compile_template(subs[key], library, errors)
    errors.raise_if_any()
    return closure


def _index(closure: CompiledWorkflowClosure, spec: WorkflowSpec, errors: Collector) -> dict[IdKey, CompiledWorkflow]:
    """Copy the sub-workflows into the closure; each id may come once."""
    subs: dict[IdKey, CompiledWorkflow] = {}
    for template in spec.sub_workflows:
        workflow = closure.sub_workflows.add()
        workflow.template.CopyFrom(template)
        key = IdKey.from_message(template.id)
        if not template.HasField("id"):
            errors.value_required("sub_workflow", "Template.Id")
        elif key in subs:
            twice = text.one_line(template.id)
            errors.add(ErrorKind.DUPLICATE_ID, twice, "Trying to insert two nodes with the same id.")
        subs.setdefault(key, workflow)
    errors.raise_if_any()
    return subs


def _check_present(
    required: Requirements,
    tasks: Mapping[IdKey, CompiledTask],
    launch_plans: Mapping[IdKey, LaunchPlanInterface],
    errors: Collector,
) -> None:
    for key in required.launch_plans:
        if key not in launch_plans:
            _workflow_missing(START, key, errors)
    for key in required.tasks:
        if key not in tasks:
            found = f"Referenced Task [{text.one_line(key.to_message())}] not found."
            errors.add(ErrorKind.TASK_REFERENCE_NOT_FOUND, START, found)


def _workflow_missing(node_id: str, key: IdKey, errors: Collector) -> None:
    found = f"Referenced Workflow [{text.one_line(key.to_message())}] not found."
    errors.add(ErrorKind.WORKFLOW_REFERENCE_NOT_FOUND, node_id, found)


def _count_runs(
    primary: Identifier, uses: Mapping[IdKey, References], subs: Mapping[IdKey, CompiledWorkflow], errors: Collector
) -> dict[IdKey, int]:
    """Say how often each sub-workflow is compiled, callers first.

    Flyte compiles one again for each path that leads to it, and each time its branches prefix the ids of the nodes
    inside once more. The ids in a closure show that, so it is part of the result; without a branch once is enough.
    """
    for own in uses.values():
        for key, node_id in own.sub_workflows.items():
            if key not in subs:
                _workflow_missing(node_id, key, errors)
    start = IdKey.from_message(primary)
    order = _callers_first(start, uses, errors)
    paths = dict.fromkeys(order, 0) | {start: 1}
    for caller in order:
        for key in uses[caller].sub_workflows:
            if key in paths:
                paths[key] += paths[caller]
    runs = {key: paths[key] if uses[key].has_branch else 1 for key in order if key != start}
    for key, times in runs.items():
        if times > _MOST_COMPILATIONS:
            found = f"Sub-workflow [{text.one_line(key.to_message())}] has a branch and is reached by {times} paths."
            errors.add(ErrorKind.WORKFLOW_BUILD_ERROR, START, found)
    return runs


def _callers_first(start: IdKey, uses: Mapping[IdKey, References], errors: Collector) -> list[IdKey]:
    """Order the workflows so that each comes after all that call it; one that contains itself has no place."""
    callers = dict.fromkeys(uses, 0)
    for own in uses.values():
        for key in own.sub_workflows.keys() & uses.keys():
            callers[key] += 1
    order = [start] if not callers[start] else []
    for caller in order:
        for key in uses[caller].sub_workflows:
            if key in callers:
                callers[key] -= 1
                if not callers[key]:
                    order.append(key)
    if len(order) < len(uses):
        names = {key: {sub.name for sub in own.sub_workflows} for key, own in uses.items()}
        cycle = walk(start.name, {key.name: subs for key, subs in names.items()}).cycle
        found = f"A cycle has been detected while traversing the Workflow [{'>'.join(cycle)}]."
        errors.add(ErrorKind.CYCLE_DETECTED, START, found)
    return order
