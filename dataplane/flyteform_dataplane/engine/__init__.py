"""The pure engine: what a workflow does next, decided from its graph, its state and what was observed."""

from flyteform_dataplane.engine.advance import Advance, advance
from flyteform_dataplane.engine.graph import Graph, NodeKind, NodeRecord
from flyteform_dataplane.engine.indexing import index_closure
from flyteform_dataplane.engine.pending import pending
from flyteform_dataplane.engine.state import State, apply

__all__ = ["Advance", "Graph", "NodeKind", "NodeRecord", "State", "advance", "apply", "index_closure", "pending"]
