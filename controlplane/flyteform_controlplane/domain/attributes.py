"""Matchable attributes: their scopes, and which of them applies (contract 1.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flyteidl.admin.matchable_resource_pb2 import MatchableResource, MatchingAttributes

from flyteform_controlplane.domain.enums import name_of
from flyteform_controlplane.domain.tasks import check_task_resources
from flyteform_controlplane.domain.validation import check_labels, check_parallelism, require
from flyteform_controlplane.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_TARGET: Mapping[str, MatchableResource] = {
    "task_resource_attributes": MatchableResource.TASK_RESOURCE,
    "cluster_resource_attributes": MatchableResource.CLUSTER_RESOURCE,
    "execution_queue_attributes": MatchableResource.EXECUTION_QUEUE,
    "execution_cluster_label": MatchableResource.EXECUTION_CLUSTER_LABEL,
    "quality_of_service": MatchableResource.QUALITY_OF_SERVICE_SPECIFICATION,
    "plugin_overrides": MatchableResource.PLUGIN_OVERRIDE,
    "workflow_execution_config": MatchableResource.WORKFLOW_EXECUTION_CONFIG,
    "cluster_assignment": MatchableResource.CLUSTER_ASSIGNMENT,
}
_PRIORITIES = {"project": 5, "domain": 10, "workflow": 100, "launch_plan": 1000}


@dataclass(frozen=True, slots=True)
class Scope:
    """What attributes apply to: a blank part means all."""

    project: str
    domain: str = ""
    workflow: str = ""
    launch_plan: str = ""

    @property
    def priority(self) -> int:
        """The higher the more specific."""
        named = (part for part in reversed(_PRIORITIES) if getattr(self, part))
        return _PRIORITIES[next(named, "project")]

    def key(self, resource: MatchableResource) -> tuple[str, str, str, str, str]:
        """Return the key of the row for this very scope."""
        return self.project, self.domain, self.workflow, self.launch_plan, name_of(MatchableResource, resource)

    def covering(self) -> tuple[Scope, ...]:
        """Return all scopes that this one is part of, the most specific first."""
        scopes = (
            self,
            Scope(self.project, self.domain, self.workflow),
            Scope(self.project, self.domain),
            Scope(self.project),
        )
        return tuple(dict.fromkeys(scopes))


def resource_of(attributes: MatchingAttributes) -> MatchableResource:
    """Return which kind of resource the attributes are."""
    target = attributes.WhichOneof("target")
    if target is None:
        raise InvalidArgumentError("missing matching_attributes", remedy="give the attributes to set")
    return _BY_TARGET[target]


def check_attributes(attributes: MatchingAttributes) -> None:
    """Refuse values that could not be applied to any execution."""
    match attributes.WhichOneof("target"):
        case "task_resource_attributes":
            resources = attributes.task_resource_attributes
            check_task_resources(resources.defaults, resources.limits)
        case "plugin_overrides":
            for override in attributes.plugin_overrides.overrides:
                require(override.task_type, "task_type of a plugin override")
                require(override.plugin_id, "plugin_id of a plugin override")
        case "workflow_execution_config":
            config = attributes.workflow_execution_config
            check_parallelism(config.max_parallelism)
            check_labels(config.labels.values)


def merge(known: MatchingAttributes, update: MatchingAttributes) -> MatchingAttributes:
    """Return what an update leaves: plugin overrides are merged by task type, everything else is replaced."""
    if update.WhichOneof("target") != "plugin_overrides":
        return update
    overrides = {override.task_type: override for override in known.plugin_overrides.overrides}
    overrides.update({override.task_type: override for override in update.plugin_overrides.overrides})
    merged = MatchingAttributes()
    merged.plugin_overrides.overrides.extend(overrides.values())
    return merged
