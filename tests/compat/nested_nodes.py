"""Runs inside the stock client's environment: FlyteRemote looks into nodes of every kind and opens gates.

Usage: nested_nodes.py ENDPOINT OBJECTS_FOLDER

No data plane is needed: the script reports what happens itself, and prints what FlyteRemote made of it as JSON.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from flyteidl.admin.execution_pb2 import ExecutionCreateRequest, ExecutionMetadata, ExecutionSpec
from flyteidl.admin.signal_pb2 import SignalGetOrCreateRequest
from flyteidl.core.execution_pb2 import NodeExecution, WorkflowExecution
from flyteidl.core.identifier_pb2 import NodeExecutionIdentifier, SignalIdentifier, WorkflowExecutionIdentifier
from flyteidl.core.types_pb2 import BOOLEAN, INTEGER, LiteralType
from flyteidl.event.event_pb2 import TaskNodeMetadata, WorkflowNodeMetadata
from flytekit.configuration import Config, PlatformConfig
from flytekit.exceptions.user import FlyteInvalidInputException
from flytekit.remote import FlyteRemote

WORKFLOWS = Path(__file__).with_name("workflows")
sys.path[:0] = [str(WORKFLOWS), str(Path(__file__).parents[1])]

import nested  # noqa: E402 - found by the line above

from support.propeller import Propeller, integers  # noqa: E402 - as above

PROJECT, DOMAIN, VERSION = "flytesnacks", "development", "v1"
STARTS = (NodeExecution.QUEUED, NodeExecution.RUNNING)


def identifier(name: str) -> WorkflowExecutionIdentifier:
    """Name an execution."""
    return WorkflowExecutionIdentifier(project=PROJECT, domain=DOMAIN, name=name)


def play(remote: FlyteRemote, objects: Path, outer: Any) -> None:
    """Report a whole run of `nested.outer`: a node of each kind, with what belongs to it below it."""
    stub = remote.client._stub  # noqa: SLF001 - the events have no public way in a user's client
    task = {name: remote.fetch_task(name=f"nested.{name}").id.to_flyte_idl() for name in ("double", "total", "unroll")}
    inner = remote.client.get_workflow(remote.fetch_workflow(name="nested.inner").id).to_flyte_idl().closure
    run = Propeller(stub, objects, identifier("nested"))
    run.workflow(WorkflowExecution.RUNNING)
    chosen = outer.flyte_nodes[0].branch_node.if_else.else_node.id
    run.node("n0", *STARTS, is_parent=True)
    run.ran("n0-chosen", task["total"], 3, parent="n0", spec_node_id=chosen)
    run.node("n0", NodeExecution.SUCCEEDED, is_parent=True, outputs=integers(o0=3))
    run.node("n1", *STARTS, is_parent=True)
    for child in ("n0", "n1"):
        run.ran(f"n1-0-{child}", task["double"], 6, parent="n1", spec_node_id=child)
    run.node("n1", NodeExecution.SUCCEEDED, is_parent=True, outputs=integers(o0=12))
    launch(remote, run, objects, task["double"])
    mapped = outer.flyte_nodes[3].flyte_entity.flyte_node.task_node.flyte_task.id.to_flyte_idl()
    run.node("n3", *STARTS, is_array=True)
    run.task("n3", mapped, integers(o0=12))
    run.node("n3", NodeExecution.SUCCEEDED, is_array=True, outputs=integers(o0=12))
    run.ran("n4", task["total"], 12)
    made = TaskNodeMetadata()
    made.dynamic_workflow.id.CopyFrom(inner.compiled_workflow.primary.template.id)
    made.dynamic_workflow.compiled_workflow.CopyFrom(inner.compiled_workflow)
    dynamic = {"is_parent": True, "is_dynamic": True}
    run.node("n5", *STARTS)
    run.task("n5", task["unroll"], integers(o0=8))
    run.node("n5", NodeExecution.DYNAMIC_RUNNING, task_node_metadata=made, **dynamic)
    for child in ("n0", "n1"):
        run.ran(f"n5-0-{child}", task["double"], 4, parent="n5", spec_node_id=child)
    run.node("n5", NodeExecution.SUCCEEDED, outputs=integers(o0=8), **dynamic)
    run.finished(integers(o0=12, o1=24, o2=12, o3=8, o4=3))


def launch(remote: FlyteRemote, run: Propeller, objects: Path, task: Any) -> None:
    """Report a node that launches an execution of its own."""
    plan = remote.fetch_launch_plan(name="child").id.to_flyte_idl()
    parent = NodeExecutionIdentifier(node_id="n2", execution_id=identifier("nested"))
    run.node("n2", NodeExecution.QUEUED)
    spec = ExecutionSpec(
        launch_plan=plan,
        metadata=ExecutionMetadata(mode=ExecutionMetadata.CHILD_WORKFLOW, parent_node_execution=parent),
    )
    request = ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name="launched", spec=spec, inputs=integers(n=3))
    remote.client._stub.CreateExecution(request)  # noqa: SLF001 - as above
    run.node(
        "n2", NodeExecution.RUNNING, workflow_node_metadata=WorkflowNodeMetadata(execution_id=identifier("launched"))
    )
    below = Propeller(remote.client._stub, objects, identifier("launched"))  # noqa: SLF001 - as above
    below.workflow(WorkflowExecution.RUNNING)
    for child in ("n0", "n1"):
        below.ran(child, task, 24)
    below.finished(integers(o0=24))
    run.node("n2", NodeExecution.SUCCEEDED, outputs=integers(o0=24))


def look(remote: FlyteRemote) -> dict[str, Any]:
    """Synchronise all the way down and say what is there."""
    execution = remote.sync(remote.fetch_execution(name="nested"), sync_nodes=True)
    nodes = execution.node_executions
    launched = nodes["n2"].workflow_executions[0]
    spans = remote.get_execution_metrics(execution.id)._span  # noqa: SLF001 - it only prints itself
    return {
        "phase": execution.closure.phase,
        "outputs": [execution.outputs[f"o{index}"] for index in range(5)],
        "top": sorted(nodes),
        "kinds": {
            name: [node.metadata.is_parent_node, node.metadata.is_dynamic, node.metadata.is_array]
            for name, node in sorted(nodes.items())
        },
        "branch": {name: node.closure.phase for name, node in nodes["n0"].subworkflow_node_executions.items()},
        "sub": {name: node.outputs["o0"] for name, node in nodes["n1"].subworkflow_node_executions.items()},
        "launched": [
            launched.id.name,
            launched.closure.phase,
            nodes["n2"].outputs["o0"],
            launched.spec.metadata.nesting,
        ],
        "array": [node.closure.phase for node in nodes["n3"].task_executions],
        "dynamic": {name: node.outputs["o0"] for name, node in nodes["n5"].subworkflow_node_executions.items()},
        "dynamic_interface": sorted(nodes["n5"].interface.outputs),
        "spans": [span.node_id.node_id for span in spans.spans if span.WhichOneof("id") == "node_id"],
    }


def gates(remote: FlyteRemote) -> dict[str, Any]:
    """Answer signals as a person does: rightly, wrongly, twice."""
    remote.execute(remote.fetch_workflow(name="nested.gated"), inputs={}, execution_name="gated")
    for name, simple in (("given", INTEGER), ("agreed", BOOLEAN)):
        remote.client._signal.GetOrCreateSignal(  # noqa: SLF001 - a data plane's call
            SignalGetOrCreateRequest(
                id=SignalIdentifier(signal_id=name, execution_id=identifier("gated")), type=LiteralType(simple=simple)
            )
        )
    waiting = sorted(signal.id.signal_id for signal in remote.list_signals("gated") if not signal.HasField("value"))
    refused = []
    for name, value in (("given", "text"), ("nowhere", 1)):
        try:
            remote.set_signal(name, "gated", value)
        except FlyteInvalidInputException:
            refused.append(name)
    remote.set_signal("given", "gated", 5)
    remote.reject("agreed", "gated")
    rejected = {signal.id.signal_id: str(signal.value.scalar.primitive) for signal in remote.list_signals("gated")}
    remote.approve("agreed", "gated")
    remote.set_input("given", "gated", 6, python_type=int)
    answered = {signal.id.signal_id: signal.value.scalar.primitive for signal in remote.list_signals("gated")}
    running = remote.fetch_execution(name="gated")
    remote.terminate(running, "seen enough")
    return {
        "waiting": waiting,
        "refused": refused,
        "rejected": rejected["agreed"].strip(),
        "answers": [answered["given"].integer, answered["agreed"].boolean],
        "ended": remote.sync(running).closure.phase,
    }


def main() -> None:
    """Register, report, look."""
    endpoint, objects = sys.argv[1], Path(sys.argv[2])
    config = Config(platform=PlatformConfig(endpoint=endpoint, insecure=True))
    remote = FlyteRemote(config, default_project=PROJECT, default_domain=DOMAIN)
    script = {"source_path": str(WORKFLOWS), "module_name": "nested", "version": VERSION}
    with contextlib.redirect_stdout(sys.stderr):
        outer = remote.register_script(nested.outer, **script)
        remote.register_script(nested.gated, **script)
        remote.register_script(nested.child, **script)
        remote.execute(outer, inputs={"n": 3}, execution_name="nested")
        play(remote, objects, remote.fetch_workflow(name="nested.outer"))
        seen = {"nested": look(remote), "gates": gates(remote)}
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
