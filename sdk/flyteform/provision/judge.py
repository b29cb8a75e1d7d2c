"""Ask what a plan needs to be judged by, and judge it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flyteform.provision.impact.assess import assess
from flyteform.provision.impact.survey import survey

if TYPE_CHECKING:
    from flyteform.client.admin import AdminClient
    from flyteform.provision.model import Change, Desired
    from flyteform.provision.observed import Observed


async def judge(
    client: AdminClient,
    desired: Desired,
    observed: Observed,
    changes: tuple[Change, ...],
    now: datetime | None = None,
) -> tuple[Change, ...]:
    """Return the changes with their semantic differences and impacts; firings are counted from `now`."""
    facts = await survey(client, desired, observed, changes)
    return assess(changes, desired, facts, now or datetime.now(UTC))
