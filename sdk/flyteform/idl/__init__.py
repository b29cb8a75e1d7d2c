"""Definitions as FlyteIDL messages, which is what a control plane stores and compiles.

The same definition always gives the same message; `SerializeToString(deterministic=True)` then gives the same bytes.
Importing this package loads protobuf and flyteidl: import it only to talk to a platform.
"""

from flyteform.authoring.entity import Entity, dependencies, entities
from flyteform.idl.dynamics import futures
from flyteform.idl.interfaces import typed_interface
from flyteform.idl.launch_plans import launch_plan_spec, schedule_message
from flyteform.idl.tasks import ENTRY_POINT, Placement, task_spec
from flyteform.idl.workflows import workflow_spec

__all__ = [
    "ENTRY_POINT",
    "Entity",
    "Placement",
    "dependencies",
    "entities",
    "futures",
    "launch_plan_spec",
    "schedule_message",
    "task_spec",
    "typed_interface",
    "workflow_spec",
]
