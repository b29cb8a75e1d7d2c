"""The resources that Pulumi programs declare."""

from flyteform.pulumi.base import Project, Provider
from flyteform.pulumi.clusters import Cluster
from flyteform.pulumi.entities import LaunchPlan, Task, Workflow
from flyteform.pulumi.settings import Metadata, Policy, Settings

__all__ = ["Cluster", "LaunchPlan", "Metadata", "Policy", "Project", "Provider", "Settings", "Task", "Workflow"]
