"""What a platform would answer for what is declared on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def _versioned(name: str, inputs: Json) -> Json:
    place = f"{inputs['project']}/{inputs['domain']}/{inputs['name']}"
    return {"id": place, "version": f"the-version-of-{name}", "state": "active"}


OUTPUTS: dict[str, Callable[[str, Json], Json]] = {
    f"flyteform:index:{each}": _versioned for each in ("Task", "Workflow", "LaunchPlan")
}
