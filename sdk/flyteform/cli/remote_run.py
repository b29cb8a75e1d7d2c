"""`flyteform run --remote`: register what is needed, start it, follow it, and print what it returns."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from flyteform.authoring import LaunchPlan, MapTask, PythonTask, Workflow
from flyteform.cli.progress import display
from flyteform.client.admin import connect
from flyteform.client.config import resolve
from flyteform.client.launch import execution_url, launch, outputs_of
from flyteform.client.watch import watch
from flyteform.errors import ExecutionFailedError, FlyteformError
from flyteform.provision import resources
from flyteform.provision.apply import ApplyResult, execute
from flyteform.provision.desired import DEFAULT_IMAGE, Target, desired_of
from flyteform.provision.identifiers import identifier_of
from flyteform.provision.model import Kind
from flyteform.provision.provisioner import compare
from flyteform.provision.state import State
from flyteform.provision.state_memory import MemoryStateStore
from flyteform.types import to_literal, to_python

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier

    from flyteform.authoring import Entity
    from flyteform.client.admin import AdminClient
    from flyteform.client.config import ConnectionOptions
    from flyteform.client.watch import ExecutionState
    from flyteform.provision.model import Desired


def run_remote(
    entity: Entity,
    inputs: Mapping[str, Any],
    connection: ConnectionOptions,
    *,
    image: str | None = None,
    name: str | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    """Run an entity on the platform and return its outputs by name, nothing if `wait` is false.

    `inputs` are Python values. Progress goes to standard error. `ExecutionFailedError` unless it SUCCEEDED; any other
    `FlyteformError` if it cannot be registered or started.
    """
    return asyncio.run(_run(entity, inputs, connection, image=image, name=name, wait=wait))


async def _run(
    entity: Entity,
    inputs: Mapping[str, Any],
    connection: ConnectionOptions,
    *,
    image: str | None,
    name: str | None,
    wait: bool,
) -> dict[str, Any]:
    declared = entity.interface.inputs_by_name
    literals = {key: to_literal(value, declared[key].python_type) for key, value in inputs.items()}
    async with connect(resolve(connection)) as client:
        target = await register(client, entity, image or DEFAULT_IMAGE)
        execution = await launch(client, target, literals, name)
        url = execution_url(client.config, execution)
        click.echo(f"Execution {execution.name}" + (f"  {url}" if url else ""), err=True)
        if not wait:
            return {}
        _check(await _follow(client, execution))
        outputs = await outputs_of(client, execution)
    types = {output.name: output.python_type for output in entity.interface.outputs}
    return {key: to_python(literal, types[key]) for key, literal in outputs.items()}


async def register(client: AdminClient, entity: Entity, image: str) -> Identifier:
    """Register an entity with all that it calls, and return what an execution of it launches.

    Nothing is activated or taken out of use, and no state is kept: versions that exist are used as they are.
    """
    config = client.config
    wanted = desired_of([_resource(entity)], Target(config.project, config.domain, image))
    entities = tuple(replace(each, active=None) for each in wanted.entities)
    plan = await compare(replace(wanted, entities=entities), client, State())
    result = await execute(plan, client, MemoryStateStore())
    _raise_failure(result)
    return _launched(plan.desired, entity)


def _resource(entity: Entity) -> resources.Resource:
    match entity:
        case Workflow():
            return resources.Workflow(entity)
        case LaunchPlan():
            return resources.LaunchPlan(entity)
        case PythonTask() | MapTask():
            return resources.Task(entity)


def _launched(desired: Desired, entity: Entity) -> Identifier:
    """Workflows are launched by the launch plan of their own name."""
    kind = Kind.TASK if isinstance(entity, PythonTask | MapTask) else Kind.LAUNCH_PLAN
    found = next(each for each in desired.entities if each.address.kind is kind and each.address.name == entity.name)
    return identifier_of(found.address, found.version)


def _raise_failure(result: ApplyResult) -> None:
    for outcome in result.outcomes:
        if outcome.error is not None:
            raise FlyteformError(
                f"{outcome.change.address} cannot be registered: {outcome.error.message}", remedy=outcome.error.remedy
            ) from outcome.error


async def _follow(client: AdminClient, execution: WorkflowExecutionIdentifier) -> ExecutionState:
    from rich.console import Console

    async with aclosing(watch(client, execution)) as states:
        with display(Console(stderr=True, highlight=False)) as shown:
            async for state in states:
                shown.show(state)
    return state


def _check(state: ExecutionState) -> None:
    """Raise the error of the node that failed, which says more than that of the execution."""
    if state.succeeded:
        return
    failed = next((node for node in state.nodes if node.error is not None), None)
    where = "" if failed is None else f": node {failed.id} ({failed.name})"
    error = (state.error if failed is None else failed.error) or "no reason given"
    # The first line says what went wrong; the rest is the traceback of the user's own code.
    summary, _, details = error.strip().partition("\n")
    if details.strip():
        click.echo(details.strip("\n"), err=True)
    raise ExecutionFailedError(f"execution {state.name} {state.phase}{where}: {summary}")
