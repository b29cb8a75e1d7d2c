"""Closures are those of FlyteAdmin 1.16.8, field by field and in the order of repeated fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

import compiler_references as references
import pytest

from flyteform.compiler import IdKey, compile_workflow, digest, requirements

if TYPE_CHECKING:
    from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure


def _compile(name: str) -> CompiledWorkflowClosure:
    spec = references.workflow_specs()[name]
    tasks, plans = references.compiled_tasks(), references.launch_plans()
    return compile_workflow(spec, spec.template.id, tasks=tasks, launch_plans=plans)


@pytest.mark.parametrize("name", references.NAMES)
def test_closure_equals_the_reference(name: str) -> None:
    """What FlyteAdmin compiles from a specification is what we compile from it."""
    expected = references.closure(name)
    assert _compile(name) == expected


@pytest.mark.parametrize("name", references.NAMES)
def test_bytes_and_digest_are_stable(name: str) -> None:
    """Compiling twice gives the same bytes and the same digest, whatever the order of the client's maps."""
    one, two = _compile(name), _compile(name)
    assert one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)
    assert digest(one) == digest(two)


def test_nothing_given_is_changed() -> None:
    """The compiler works on copies: specifications and tasks stay as they were."""
    spec, tasks = references.workflow_specs()["nested_branch"], references.compiled_tasks()
    before = spec.SerializeToString(deterministic=True), [task.SerializeToString() for task in tasks.values()]
    compile_workflow(spec, spec.template.id, tasks=tasks, launch_plans={})
    assert (spec.SerializeToString(deterministic=True), [task.SerializeToString() for task in tasks.values()]) == before


def test_requirements_follow_sub_workflows_branches_and_arrays() -> None:
    """All tasks and launch plans are named, sorted and once, wherever the nodes are that use them."""
    specs = references.workflow_specs()
    assert [key.name for key in requirements(specs["nested_branch"]).tasks] == ["refs.add", "refs.inc"]
    assert [key.name for key in requirements(specs["failing"]).tasks] == ["refs.clean", "refs.inc"]
    assert len(requirements(specs["mapped"]).tasks) == 2
    assert requirements(specs["launch"]).launch_plans == (IdKey(3, "flytesnacks", "development", "chain_lp", "v1"),)
