"""The policies that flyteform ships. They judge what a plan changes; `configured` gives them other parameters.

from flyteform.provision import policies

limits = policies.resource_limits.configured(limits={"development": {"cpu": "4", "memory": "16Gi"}})
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from flyteform.errors import InvalidInputError
from flyteform.provision.impact.model import ImpactKind, Severity
from flyteform.provision.impact.tasks import resource_name
from flyteform.provision.model import Kind
from flyteform.provision.policy import deny, policy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from flyteform.provision.model import Change
    from flyteform.provision.policy import DeclaredTask, Finding, Proposal

_QUANTITY = re.compile(r"([+-]?[0-9.]+)([numkMGTPE]?|[KMGTPE]i|[eE][+-]?[0-9]+)")
_SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "k": Decimal("1e3"),
    "M": Decimal("1e6"), "G": Decimal("1e9"), "T": Decimal("1e12"), "P": Decimal("1e15"), "E": Decimal("1e18"),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip
_SHORT_NAMES = {"mem": "memory", "disk": "ephemeral_storage", "ephemeral-storage": "ephemeral_storage"}
ANY_DOMAIN = "*"
GENEROUS = {ANY_DOMAIN: {"cpu": "64", "memory": "512Gi", "gpu": "8"}}


@policy
def no_breaking_under_schedule(proposal: Proposal) -> Iterator[Finding]:
    """Deny a breaking change of what an active schedule starts, even where breaking changes are allowed."""
    scheduled = {each.address for each in proposal.launch_plans(everything=True) if each.scheduled}
    for change in proposal.changes:
        if not change.breaking:
            continue
        own = sorted((proposal.users_of(change.address) | {change.address}) & scheduled)
        if own:
            names = ", ".join(each.name for each in own)
            yield deny(f"the interface breaks callers, and the schedule of {names} runs it", change.address, *own)
        elif _breaks_a_schedule(change):
            yield deny("the interface breaks a launch plan that is active and scheduled", change.address)


@policy
def resource_limits(proposal: Proposal, limits: Mapping[str, Mapping[str, str | int]] = GENEROUS) -> Iterator[Finding]:
    """Deny tasks that ask for more than their domain's limit.

    `limits` has quantities by domain and resource (`cpu`, `memory`, `gpu`, `ephemeral_storage`); the domain `*` is for
    all that are not named.
    """
    for task in proposal.tasks():
        own = limits.get(task.address.domain, limits.get(ANY_DOMAIN, {}))
        for name, limit in own.items():
            resource = _SHORT_NAMES.get(name, name)
            for word, asked in _asked(task, resource):
                if quantity(asked) > quantity(str(limit)):
                    yield deny(f"{resource} {word} {asked} is over the limit {limit} of {task.address.domain}", task)


@policy
def production_schedules_notify(
    proposal: Proposal, domains: Collection[str] = ("production",), phases: Collection[str] = ("FAILED",)
) -> Iterator[Finding]:
    """Deny active schedules in these domains whose failure nobody is told of."""
    from flyteidl.core.execution_pb2 import WorkflowExecution

    for each in proposal.launch_plans():
        if each.scheduled and each.address.domain in domains:
            told = {
                WorkflowExecution.Phase.Name(phase)
                for notification in each.spec.entity_metadata.notifications
                for phase in notification.phases
            }
            missing = sorted(set(phases) - told)
            if missing:
                yield deny(f"the schedule notifies nobody of {', '.join(missing)}", each)


def quantity(text: str) -> Decimal:
    """Read a Kubernetes quantity such as `500m`, `1.5` or `2Gi`; `InvalidInputError` if it is none."""
    found = _QUANTITY.fullmatch(text.strip())
    if found is None:
        raise InvalidInputError(f"{text!r} is no quantity", remedy="write it like 500m, 1.5 or 2Gi")
    number, suffix = found.groups()
    factor = _SUFFIXES.get(suffix)
    return Decimal(number) * factor if factor is not None else Decimal(f"{number}{suffix}")


def _asked(task: DeclaredTask, resource: str) -> Iterator[tuple[str, str]]:
    container = task.template.container.resources
    for word, entries in (("request", container.requests), ("limit", container.limits)):
        for entry in entries:
            if resource_name(entry) == resource:
                yield word, entry.value


def _breaks_a_schedule(change: Change) -> bool:
    return any(
        impact.kind is ImpactKind.INTERFACE
        and impact.severity is Severity.BREAKING
        and dict(impact.fields).get("caller_kind") == Kind.LAUNCH_PLAN.value
        and dict(impact.fields).get("caller_scheduled") is True
        for impact in change.impacts
    )
