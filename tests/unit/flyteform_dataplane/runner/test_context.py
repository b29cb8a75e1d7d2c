"""What executions of the same workflow have in common."""

from __future__ import annotations

import gc
import weakref

from flyteform_dataplane.engine.failures import Failure
from flyteform_dataplane.engine.indexing import index_growth
from flyteform_dataplane.runner.context import ExecutionContext
from support.closures import Flow, promise


def test_records_of_nodes_are_shared() -> None:
    """Executions of one workflow have one record of each node, those of another and with other settings their own."""
    one, two = (ExecutionContext.of(_chain().lease(name)) for name in ("one", "two"))
    assert one.graph.nodes["n0"] is two.graph.nodes["n0"]
    assert (one.id.name, two.id.name) == ("one", "two")
    assert one.workflow.name == two.workflow.name == "wf"

    other = ExecutionContext.of(Flow().task("n0").lease("other"))
    assert set(other.graph.nodes) == {"start-node", "n0", "end-node"}

    lease = _chain().lease("three")
    lease.spec.max_parallelism = 2
    three = ExecutionContext.of(lease)
    assert (three.graph.max_parallelism, one.graph.max_parallelism) == (2, 0)


def test_what_a_dynamic_task_makes_is_its_own() -> None:
    """A graph that grows leaves those of other executions as they are, the ones that begin later too."""
    one, two = (ExecutionContext.of(_chain().lease(name)) for name in ("one", "two"))
    assert one.pristine is two.pristine
    growth = index_growth(one.graph, "n0", 0, Flow(name="made").task("n0").build())
    assert not isinstance(growth, Failure)
    one.graph.grow(growth)
    assert len(one.graph.nodes) > len(two.graph.nodes)
    assert set(ExecutionContext.of(_chain().lease("later")).graph.nodes) == set(two.graph.nodes)


def test_nothing_is_kept_for_nobody() -> None:
    """With the last execution of a workflow goes what they shared."""
    context = ExecutionContext.of(Flow(name="gone").task("n0").lease())
    shared = weakref.ref(context.pristine)
    del context
    gc.collect()
    assert shared() is None


def test_the_lease_is_left_as_it_was() -> None:
    """Its closure, which may be large, is left out of what is kept, and stays in the lease that was given."""
    lease = Flow().task("n0").lease()
    before = lease.SerializeToString(deterministic=True)
    context = ExecutionContext.of(lease)
    assert not context.lease.HasField("closure")
    assert lease.SerializeToString(deterministic=True) == before


def _chain() -> Flow:
    return Flow().task("n0").task("n1", {"x": promise("n0", "o")})
