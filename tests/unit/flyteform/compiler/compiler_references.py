"""The reference material: specifications as flytekit 1.16.31 serialises them, closures as FlyteAdmin 1.16.8 answers.

Fourteen small workflows, one per feature of the compiler: a chain, a diamond with an extra edge, a branch, a nested
branch, a sub-workflow, a launch plan node, a map with concurrency and success ratio, gates, a failure node, a dynamic
task, types, a raw container, constants and overrides. All are protobuf JSON with proto field names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flyteidl.admin import launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import compiler_pb2
from google.protobuf import json_format

from flyteform.compiler import IdKey, LaunchPlanInterface, compile_task

DATA = Path(__file__).parent / "data"
NAMES = sorted(path.name.removesuffix(".closure.json") for path in DATA.glob("*.closure.json"))


def _load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def workflow_specs() -> dict[str, workflow_pb2.WorkflowSpec]:
    """Give the specifications by the workflow's short name."""
    specs = [json_format.ParseDict(item, workflow_pb2.WorkflowSpec()) for item in _load("workflows.json")]
    return {spec.template.id.name.removeprefix("refs."): spec for spec in specs}


def task_specs() -> dict[str, task_pb2.TaskSpec]:
    """Give the specifications of tasks by name."""
    specs = [json_format.ParseDict(item, task_pb2.TaskSpec()) for item in _load("tasks.json")]
    return {spec.template.id.name: spec for spec in specs}


def compiled_tasks() -> dict[IdKey, compiler_pb2.CompiledTask]:
    """Compile every reference task."""
    specs = task_specs().values()
    return {IdKey.from_message(spec.template.id): compile_task(spec, spec.template.id) for spec in specs}


def launch_plans() -> dict[IdKey, LaunchPlanInterface]:
    """Give the interface of every reference launch plan; its outputs are its workflow's."""
    workflows = {spec.template.id.name: spec for spec in workflow_specs().values()}
    found = {}
    for item in _load("launch_plans.json"):
        plan = json_format.ParseDict(item, launch_plan_pb2.LaunchPlan())
        outputs = workflows[plan.spec.workflow_id.name].template.interface.outputs
        inputs = plan.spec.default_inputs, plan.spec.fixed_inputs
        found[IdKey.from_message(plan.id)] = LaunchPlanInterface(plan.id, *inputs, outputs)
    return found


def closure(name: str) -> compiler_pb2.CompiledWorkflowClosure:
    """Give the closure that FlyteAdmin compiled."""
    return json_format.ParseDict(_load(f"{name}.closure.json"), compiler_pb2.CompiledWorkflowClosure())
