"""Where closures and inputs lie below the object store's prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from flyteidl.core.identifier_pb2 import Identifier, NodeExecutionIdentifier, WorkflowExecutionIdentifier


def workflow_closure(prefix: str, identifier: Identifier) -> str:
    """Return the URI of a workflow's compiled closure."""
    return join(prefix, "admin", identifier.project, identifier.domain, identifier.name, identifier.version)


def execution_inputs(prefix: str, execution: WorkflowExecutionIdentifier) -> str:
    """Return the URI of the inputs that an execution runs with."""
    return join(prefix, execution.project, execution.domain, execution.name, "inputs")


def user_inputs(prefix: str, execution: WorkflowExecutionIdentifier) -> str:
    """Return the URI of the inputs that were given, without defaults."""
    return join(prefix, execution.project, execution.domain, execution.name, "user_inputs")


def event_data(prefix: str, node: NodeExecutionIdentifier, name: str) -> str:
    """Return the URI for a value that came inside an event of a node or one of its attempts."""
    execution = node.execution_id
    return join(prefix, execution.project, execution.domain, execution.name, node.node_id, name)


def join(prefix: str, *parts: str) -> str:
    """Append path segments to a URI; what a part contains never makes another segment."""
    return "/".join([prefix, *(_segment(part) for part in parts)])


def _segment(part: str) -> str:
    # Dots are harmless but for a segment that consists of them, which would climb.
    return quote(part, safe=":@+=,") if part.strip(".") else part.replace(".", "%2E")
