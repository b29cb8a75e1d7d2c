"""Whether a plan may be applied: no caller breaks that nobody has allowed to break, and no policy denies it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteform.provision.errors import PlanRefusedError
from flyteform.provision.verdicts import Level

if TYPE_CHECKING:
    from flyteform.provision.model import Address, Plan

_SHOWN = 3


def breaking(plan: Plan) -> tuple[Address, ...]:
    """Return what breaks its callers, each once."""
    return tuple(dict.fromkeys(change.address for change in plan.steps if change.breaking))


def check_allowed(plan: Plan) -> None:
    """Raise `PlanRefusedError`, which says why and what to do, if the plan must not be applied."""
    denials = [verdict for verdict in plan.verdicts if verdict.level is Level.DENY]
    if denials:
        names = ", ".join(dict.fromkeys(verdict.policy for verdict in denials))
        raise PlanRefusedError(f"the plan is denied by policy: {names}", remedy="change the declaration or the policy")
    broken = breaking(plan)
    if broken and not plan.allow_breaking:
        shown = ", ".join(str(address) for address in broken[:_SHOWN]) + (" and others" if broken[_SHOWN:] else "")
        raise PlanRefusedError(
            f"the plan breaks callers of {shown}",
            remedy="keep the interface compatible, change the callers too, or add --allow-breaking",
        )
