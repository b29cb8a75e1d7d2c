"""The resources that a declaration is made of. Creating one declares it, so loops and functions work."""

from flyteform.provision.resources.attributes import (
    ClusterAssignment,
    ClusterResources,
    ExecutionClusterLabel,
    ExecutionQueues,
    ExecutionSettings,
    PluginOverride,
    PluginOverrides,
    QualityOfService,
    Settings,
    SettingsValue,
    TaskResources,
)
from flyteform.provision.resources.base import Resource, collecting, is_flytekit
from flyteform.provision.resources.clusters import Cluster, ClusterIdentity, ClusterStorage
from flyteform.provision.resources.entities import Metadata, Project, Task, Workflow
from flyteform.provision.resources.launch_plans import Concurrency, Email, LaunchPlan, Notification, PagerDuty, Slack
from flyteform.provision.resources.registered import (
    RegisteredDefinition,
    RegisteredLaunchPlan,
    RegisteredTask,
    RegisteredWorkflow,
)

__all__ = [
    "Cluster",
    "ClusterAssignment",
    "ClusterIdentity",
    "ClusterResources",
    "ClusterStorage",
    "Concurrency",
    "Email",
    "ExecutionClusterLabel",
    "ExecutionQueues",
    "ExecutionSettings",
    "LaunchPlan",
    "Metadata",
    "Notification",
    "PagerDuty",
    "PluginOverride",
    "PluginOverrides",
    "Project",
    "QualityOfService",
    "RegisteredDefinition",
    "RegisteredLaunchPlan",
    "RegisteredTask",
    "RegisteredWorkflow",
    "Resource",
    "Settings",
    "SettingsValue",
    "Slack",
    "Task",
    "TaskResources",
    "Workflow",
    "collecting",
    "is_flytekit",
]
