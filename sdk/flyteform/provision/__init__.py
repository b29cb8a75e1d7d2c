"""Declare projects, settings, tasks, workflows and launch plans as resources, and bring a platform to what is declared.

The resource classes are what declarations import; they stay light and never reach for the network.
"""

from flyteform.provision.resources import (
    ClusterAssignment,
    ClusterResources,
    Concurrency,
    Email,
    ExecutionClusterLabel,
    ExecutionQueues,
    ExecutionSettings,
    LaunchPlan,
    Metadata,
    PagerDuty,
    PluginOverride,
    PluginOverrides,
    Project,
    QualityOfService,
    RegisteredLaunchPlan,
    RegisteredTask,
    RegisteredWorkflow,
    Resource,
    Settings,
    Slack,
    Task,
    TaskResources,
    Workflow,
)
from flyteform.provision.variables import variables

__all__ = [
    "ClusterAssignment",
    "ClusterResources",
    "Concurrency",
    "Email",
    "ExecutionClusterLabel",
    "ExecutionQueues",
    "ExecutionSettings",
    "LaunchPlan",
    "Metadata",
    "PagerDuty",
    "PluginOverride",
    "PluginOverrides",
    "Project",
    "QualityOfService",
    "RegisteredLaunchPlan",
    "RegisteredTask",
    "RegisteredWorkflow",
    "Resource",
    "Settings",
    "Slack",
    "Task",
    "TaskResources",
    "Workflow",
    "variables",
]
