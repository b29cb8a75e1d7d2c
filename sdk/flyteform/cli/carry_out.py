"""Show a plan, ask, apply it with a line per step, and say how it went."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from flyteform.cli.render import print_lines, render, render_outcome, render_result
from flyteform.errors import ConflictError, InvalidInputError
from flyteform.provision.apply import Conduct
from flyteform.provision.provisioner import apply_plan

if TYPE_CHECKING:
    from flyteform.client.admin import AdminClient
    from flyteform.provision.apply import Outcome
    from flyteform.provision.model import Plan
    from flyteform.provision.ports import StateStore


async def carry_out(plan: Plan, client: AdminClient, store: StateStore, *, approved: bool) -> int:
    """Return the exit code: 0 if every step was applied, 1 if not. A plan without steps is not asked about."""
    print_lines(render(plan))
    if plan.has_changes and not approved:
        _ask()
    result = await apply_plan(plan, client, store, Conduct(on_progress=_show))
    if plan.has_changes:
        print_lines(render_result(result))
    return 0 if result.ok else 1


def _ask() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInputError(
            "nothing was written: there is no terminal to ask on",
            remedy="add -y (--auto-approve), or save the plan with `flyteform plan PATH --out FILE` and apply FILE",
        )
    if not click.confirm("Apply this plan?"):
        raise ConflictError("nothing was written: the plan was not approved")


def _show(outcome: Outcome) -> None:
    line = render_outcome(outcome)
    if line is not None:
        print_lines(line)
