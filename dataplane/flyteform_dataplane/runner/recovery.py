"""What an execution takes over from the one that it recovers."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from flyteidl.core.execution_pb2 import NodeExecution

from flyteform.errors import FlyteformError, UnavailableError
from flyteform_dataplane.engine.graph import END_NODE, START_NODE
from flyteform_dataplane.runner.context import FormerNode

if TYPE_CHECKING:
    from flyteidl.admin.node_execution_pb2 import NodeExecution as NodeMessage

    from flyteform_dataplane.ports import Clock, ControlPlane
    from flyteform_dataplane.runner.context import ExecutionContext

logger = logging.getLogger(__name__)

_PAUSE = timedelta(seconds=2)
_GOOD = (NodeExecution.SUCCEEDED, NodeExecution.RECOVERED)


async def look_back(context: ExecutionContext, control: ControlPlane, clock: Clock) -> None:
    """Learn what the nodes of the recovered execution left. One that cannot be read any more leaves nothing."""
    if not context.lease.HasField("recover_from"):
        return
    former = context.lease.recover_from
    while True:
        try:
            found = await _all_nodes(context, control)
            break
        except UnavailableError as error:
            logger.warning("execution %s waits for what %s left: %s", context.id.name, former.name, error)
            await clock.sleep(_PAUSE)
        except FlyteformError as error:
            logger.warning("execution %s takes nothing over from %s: %s", context.id.name, former.name, error)
            return
    context.former.update(found)
    context.graph.recoverable.update(name for name, node in found.items() if node.succeeded)


async def _all_nodes(context: ExecutionContext, control: ControlPlane) -> dict[str, FormerNode]:
    """Return the nodes, and those below the ones that did not succeed."""
    found: dict[str, FormerNode] = {}
    parents = [""]
    while parents:
        for node in await control.nodes(context.lease.recover_from, parents.pop()):
            if node.metadata.spec_node_id in (START_NODE, END_NODE):
                continue
            name = node.id.node_id
            found[name] = _former(node)
            if node.metadata.is_parent_node and not found[name].succeeded:
                parents.append(name)
    return found


def _former(node: NodeMessage) -> FormerNode:
    closure = node.closure
    launched = closure.HasField("workflow_node_metadata")
    return FormerNode(
        succeeded=closure.phase in _GOOD,
        output_uri=closure.output_uri,
        checkpoint_uri=closure.task_node_metadata.checkpoint_uri,
        futures_uri=closure.dynamic_job_spec_uri,
        child=closure.workflow_node_metadata.executionId if launched else None,
    )
