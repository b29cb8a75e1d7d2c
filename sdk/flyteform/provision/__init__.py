"""Declare projects, tasks, workflows and launch plans as resources, and bring a platform to what is declared.

The resource classes are what declarations import; they stay light and never reach for the network.
"""

from flyteform.provision.resources import LaunchPlan, Project, Resource, Task, Workflow

__all__ = ["LaunchPlan", "Project", "Resource", "Task", "Workflow"]
