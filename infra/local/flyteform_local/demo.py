"""The demo: plan, apply, execute twice, show, serve; everything by the same calls that the commands make."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from rich.console import Console
from rich.pretty import Pretty
from rich.rule import Rule
from rich.text import Text

from flyteform.cli.progress import display, node_table
from flyteform.cli.render import print_lines, render, render_outcome, render_result
from flyteform.client.admin import connect
from flyteform.client.config import ClientConfig
from flyteform.client.launch import launch, outputs_of
from flyteform.client.watch import watch
from flyteform.provision.apply import Conduct
from flyteform.provision.provisioner import apply_plan, make_plan
from flyteform.provision.state_file import FileStateStore
from flyteform.types import guess_python
from flyteform_local.errors import PlatformError
from flyteform_local.firings import announce_firings
from flyteform_local.platform import PlatformOptions, running_platform
from flyteform_local.serve import end_on_signals, log_to_stderr

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import Identifier, WorkflowExecutionIdentifier

    from flyteform.client.admin import AdminClient
    from flyteform.client.watch import ExecutionState
    from flyteform.provision.apply import Outcome
    from flyteform_local.state import Addresses

EXAMPLE = Path(__file__).parent / "examples" / "wine" / "wine_platform.py"
PROJECT, DOMAIN, LAUNCH_PLAN = "wine", "development", "every-minute"
STATE_NAME = "demo-state.json"


def run_demo(options: PlatformOptions, *, once: bool) -> int:
    """Run the demo; return the exit code: 0 if both runs succeeded."""
    log_to_stderr(logging.WARNING)
    if find_spec("sklearn") is None:
        raise PlatformError(
            "the demo trains on data that scikit-learn ships, which is not installed",
            remedy="install flyteform with the extra `demo`, or use `make demo` in a checkout",
        )
    return uvloop.run(_demo(options, once=once))


async def _demo(options: PlatformOptions, *, once: bool) -> int:
    """Run the story, ended early by a signal."""
    ended = end_on_signals()
    async with running_platform(options) as addresses:
        story = asyncio.create_task(_story(options, addresses))
        waiting = asyncio.create_task(ended.wait())
        await asyncio.wait((story, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not story.done():
            story.cancel()
            await asyncio.gather(story, return_exceptions=True)
            return 130
        succeeded = await story
        if not once:
            await _serve_on(addresses, waiting)
        waiting.cancel()
    return 0 if succeeded else 1


async def _story(options: PlatformOptions, addresses: Addresses) -> bool:
    """Tell it in five chapters; return whether both runs succeeded."""
    _chapter("1  The embedded platform")
    _say(f"gRPC   {addresses.grpc}\nREST   {addresses.http}/api/v1\nstate  {options.state_dir.expanduser().absolute()}")
    config = ClientConfig(addresses.grpc, insecure=True, project=PROJECT, domain=DOMAIN, http=addresses.http)
    async with connect(config) as client:
        await _provision(client, FileStateStore(options.state_dir.expanduser().absolute() / STATE_NAME))
        target = await _active_version(client)
        _chapter("4  Run it on real data")
        first = await _execute(client, target)
        _chapter("5  Run it again: what is cached is not computed again")
        second = await _execute(client, target)
        hits = [node.name for node in second.nodes if node.cache == "hit"]
        _say(f"from the cache: {', '.join(hits)}" if hits else "nothing came from the cache")
    return first.succeeded and second.succeeded


async def _provision(client: AdminClient, store: FileStateStore) -> None:
    _chapter("2  Plan and apply the example project")
    plan = await make_plan(EXAMPLE, client, store)
    print_lines(render(plan))
    if plan.has_changes:
        result = await apply_plan(plan, client, store, Conduct(on_progress=_show_outcome))
        print_lines(render_result(result))
        if not result.ok:
            raise PlatformError("the example could not be applied", remedy="the steps that failed are above")
    _chapter("3  Plan again")
    again = await make_plan(EXAMPLE, client, store)
    print_lines(render(again))
    if again.has_changes:
        raise PlatformError("a second plan shows changes, which is a bug", remedy="please report it with this output")


def _show_outcome(outcome: Outcome) -> None:
    line = render_outcome(outcome)
    if line is not None:
        print_lines(line)


async def _active_version(client: AdminClient) -> Identifier:
    plans = client.list_launch_plans(PROJECT, DOMAIN, name=LAUNCH_PLAN, filters="eq(state,1)", newest=True)
    active = [plan async for plan in plans]
    if not active:
        raise PlatformError(f"the launch plan {LAUNCH_PLAN} is not active", remedy="run the demo again")
    return active[0].id


async def _execute(client: AdminClient, launch_plan: Identifier) -> ExecutionState:
    """Launch, follow, and print what it returned and how long each node took."""
    execution = await launch(client, launch_plan, {})
    _say(f"execution {execution.name} of launch plan {launch_plan.name}")
    console = Console(highlight=False)
    async with aclosing(watch(client, execution)) as states:
        with display(console) as shown:
            async for state in states:
                shown.show(state)
    if not console.is_terminal:
        console.print(node_table(state, datetime.now(UTC)))
    await _print_outputs(client, execution, state)
    return state


async def _print_outputs(client: AdminClient, execution: WorkflowExecutionIdentifier, state: ExecutionState) -> None:
    if not state.succeeded:
        _say(state.error or f"it ended {state.phase}")
        return
    closure = (await client.get_execution(execution)).closure
    workflow = await client.get_workflow(closure.workflow_id)
    outputs = workflow.closure.compiled_workflow.primary.template.interface.outputs.variables
    console = Console(highlight=False)
    for name, literal in sorted((await outputs_of(client, execution)).items()):
        console.print(Text(f"{name}: ", style="bold"), Pretty(guess_python(literal, outputs[name].type)), sep="")


async def _serve_on(addresses: Addresses, ended: asyncio.Task[bool]) -> None:
    _chapter("Serving")
    config = ClientConfig(addresses.grpc, insecure=True, project=PROJECT, domain=DOMAIN, http=addresses.http)
    _say(
        f"{addresses.http}/api/v1/executions/{PROJECT}/{DOMAIN}?limit=10\n"
        f"flyteform run --remote --endpoint {addresses.grpc} FILE.py WORKFLOW runs your own work here.\n"
        "The schedule fires every minute; Ctrl-C ends it."
    )
    firings = asyncio.create_task(announce_firings(config, LAUNCH_PLAN))
    await ended
    firings.cancel()
    await asyncio.gather(firings, return_exceptions=True)


def _chapter(title: str) -> None:
    console = Console(highlight=False)
    console.print()
    console.print(Rule(title, align="left", style="dim"))


def _say(text: str) -> None:
    Console(highlight=False).print(text, soft_wrap=True, markup=False)
