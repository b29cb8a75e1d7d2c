"""Projects, clusters, tasks, workflows and launch plans as resources of Pulumi programs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flyteform.pulumi.resources import (
        Cluster,
        LaunchPlan,
        Metadata,
        Policy,
        Project,
        Provider,
        Settings,
        Task,
        Workflow,
    )

__all__ = ["Cluster", "LaunchPlan", "Metadata", "Policy", "Project", "Provider", "Settings", "Task", "Workflow"]


def __getattr__(name: str) -> object:
    """Load the classes when they are first used: the provider's process has no use for them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("flyteform.pulumi.resources"), name)
