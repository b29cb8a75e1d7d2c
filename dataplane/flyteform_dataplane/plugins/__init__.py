"""What turns a task of some type into an attempt that an executor can run."""

from flyteform_dataplane.plugins.ports import Plugin, TaskContext
from flyteform_dataplane.plugins.registry import Registry, default_registry

__all__ = ["Plugin", "Registry", "TaskContext", "default_registry"]
