"""Show a plan, ask, apply it with a line per step, and say how it went and what is left."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from flyteform.cli.apply_progress import showing
from flyteform.cli.render import print_lines, render, render_result
from flyteform.errors import ConflictError, InvalidInputError
from flyteform.provision.apply import Conduct, Status, execute
from flyteform.provision.errors import StalePlanError
from flyteform.provision.gate import check_allowed
from flyteform.provision.redaction import redact_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from flyteform.cli.options import Manner
    from flyteform.client.admin import AdminClient
    from flyteform.provision.apply import ApplyResult
    from flyteform.provision.model import Address, Plan
    from flyteform.provision.ports import Holder, StateStore
    from flyteform.provision.state import Record

    Goals = Mapping[Address, Record | None]

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it


async def carry_out(
    make: Callable[[], Awaitable[Plan]],
    client: AdminClient,
    store: StateStore,
    manner: Manner,
    goals: Goals | None = None,
) -> int:
    """Return the exit code: 0 if every step was applied, 1 if not. A plan without steps is not asked about.

    `make` is called again if another apply has changed the state before this one holds it. `goals` are what the state
    has to say in the end where that does not follow from the plan.
    """
    plan = manner.judgement.judge(await make())
    print_lines(render(plan))
    check_allowed(plan)
    if plan.has_changes and not manner.approved:
        _ask()
    async with store.lock(manner.lock_timeout, _tell):
        if (await store.load()).serial != plan.serial:
            plan = await _again(make, plan, manner)
        with _interruptible() as interrupt, showing(plan) as show:
            result = await execute(plan, client, store, Conduct(manner.parallelism, show, interrupt), goals)
    if plan.has_changes:
        print_lines(render_result(result))
        _show_left(result)
    if interrupt.is_set() and not result.ok:
        return INTERRUPTED
    return 0 if result.ok else 1


def _ask() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInputError(
            "nothing was written: there is no terminal to ask on",
            remedy="add -y (--auto-approve), or save the plan with `flyteform plan PATH --out FILE` and apply FILE",
        )
    if not click.confirm("Apply this plan?"):
        raise ConflictError("nothing was written: the plan was not approved")


async def _again(make: Callable[[], Awaitable[Plan]], shown: Plan, manner: Manner) -> Plan:
    """Plan anew after another apply; what a person has approved must not become something else."""
    plan = manner.judgement.judge(await make())
    if plan.changes == shown.changes:
        check_allowed(plan)
        return plan
    if not manner.approved:
        raise StalePlanError(
            "another apply has changed the state since you approved this plan",
            remedy="look at the new one: apply again",
        )
    click.echo("Another apply was at work meanwhile; what is left now:")
    print_lines(render(plan))
    check_allowed(plan)
    return plan


def _tell(holder: Holder) -> None:
    click.echo(f"Waiting: the state is held by {holder}", err=True)


def _show_left(result: ApplyResult) -> None:
    left = [outcome for outcome in result.outcomes if outcome.status is not Status.APPLIED]
    if not left:
        return
    click.echo("Left to do, and why:")
    for outcome in left:
        reason = redact_text(outcome.error.message) if outcome.error is not None else ""
        click.echo(f"  {outcome.change.action.value} {outcome.change.address}: {reason}")
        if outcome.status is Status.FAILED and outcome.error is not None and outcome.error.remedy:
            click.echo(f"    → {outcome.error.remedy}")
    click.echo("The next apply goes on with it.")


@contextmanager
def _interruptible() -> Iterator[asyncio.Event]:
    """Set the event on Ctrl-C or SIGTERM, once: steps that run are finished then. The second one ends the process."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupt() -> None:
        event.set()
        loop.remove_signal_handler(signal.SIGINT)
        click.echo("Interrupted: the steps that run are finished and recorded; Ctrl-C again ends at once.", err=True)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        yield event
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
