"""How execution queues and quality of service follow from attributes and the operator's settings (contract 1.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import QualityOfService

from flyteform_controlplane.domain.enums import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure

    from flyteform_controlplane.domain.config import QualityConfig, QueueConfig

# Where Flyte's tasks that start others of their own look for the queue.
QUEUE_KEY = "child_queue"


def choose_queue(tags: Sequence[str], domain: str, config: QueueConfig, seed: int) -> str:
    """Return the queue of an execution, "" for none: of its attributes' tags, or else of its domain's.

    Of several queues with one tag, `seed` picks one.
    """
    default = config.domain_tags.get(domain) or config.domain_tags.get("", ())
    for tag in (*tags, *default):
        queues = config.by_tag.get(tag)
        if queues:
            return queues[seed % len(queues)]
    return ""


def apply_queue(closure: CompiledWorkflowClosure, queue: str) -> None:
    """Tell every container of the closure its queue."""
    for task in closure.tasks:
        if queue and task.template.WhichOneof("target") == "container":
            task.template.container.config.add(key=QUEUE_KEY, value=queue)


def resolve_quality(levels: Iterable[QualityOfService], domain: str, config: QualityConfig) -> QualityOfService:
    """Return the first level that says something, or the domain's tier; a tier becomes what it means here."""
    chosen = next((level for level in levels if level.ByteSize()), QualityOfService())
    if chosen.WhichOneof("designation") == "spec":
        return chosen
    tier = name_of(QualityOfService.Tier, chosen.tier) if chosen.tier else config.default_tiers.get(domain, "")
    if tier in config.queueing_budgets:
        resolved = QualityOfService()
        resolved.spec.queueing_budget.FromTimedelta(config.queueing_budgets[tier])
        return resolved
    return chosen if chosen.tier or not tier else QualityOfService(tier=tier)
