"""All tables of the AdminService as one store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.common_pb2 import Labels
from flyteidl.admin.description_entity_pb2 import Description
from flyteidl.admin.execution_pb2 import ExecutionClosure, ExecutionSpec
from flyteidl.admin.launch_plan_pb2 import LaunchPlanClosure, LaunchPlanSpec
from flyteidl.admin.matchable_resource_pb2 import MatchingAttributes
from flyteidl.admin.node_execution_pb2 import NodeExecutionClosure, NodeExecutionMetaData
from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure
from flyteidl.admin.task_pb2 import TaskClosure
from flyteidl.core.interface_pb2 import TypedInterface
from flyteidl.core.literals_pb2 import Literal
from flyteidl.core.types_pb2 import LiteralType
from sqlalchemy import select

from flyteform.proto.flyteform.v1.clusters_pb2 import ClusterSpec, StorageProfile, SyncStatus
from flyteform_controlplane.domain import clusters, concurrency, records, schedules, states
from flyteform_controlplane.store import tables, tables_duties
from flyteform_controlplane.store.sql.launches import SqlLaunches
from flyteform_controlplane.store.sql.names import SqlNames
from flyteform_controlplane.store.sql.rows import SqlRows
from flyteform_controlplane.store.sql.slots import SqlSlots

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncConnection

    from flyteform_controlplane.store.ports import Launches, Names, Rows, Slots


class SqlStore:
    """The adapters of every table; it holds no state, the transactions are the caller's."""

    def __init__(self) -> None:
        self.names: Names = SqlNames()
        self.slots: Slots = SqlSlots()
        policies = SqlRows(tables_duties.launch_plan_policies, concurrency.PolicyRecord)
        projects = SqlRows(tables.projects, records.ProjectRecord, labels=Labels)
        matchables = SqlRows(tables.resources, records.MatchableRecord, attributes=MatchingAttributes)
        self.launches: Launches = SqlLaunches(projects, policies, matchables)
        self.policies: Rows[concurrency.PolicyRecord] = policies
        self.catch_ups: Rows[schedules.CatchUpRecord] = SqlRows(
            tables_duties.launch_plan_catch_ups, schedules.CatchUpRecord
        )
        self.waiting: Rows[concurrency.WaitingRecord] = SqlRows(
            tables_duties.waiting_executions, concurrency.WaitingRecord
        )
        self.states: Rows[states.StateRecord] = SqlRows(tables_duties.states, states.StateRecord)
        self.state_documents: Rows[states.StateDocumentRecord] = SqlRows(
            tables_duties.state_documents, states.StateDocumentRecord
        )
        self.clusters: Rows[clusters.ClusterRecord] = SqlRows(
            tables_duties.clusters, clusters.ClusterRecord, spec=ClusterSpec, storage=StorageProfile, sync=SyncStatus
        )
        self.bootstrap_tokens: Rows[clusters.BootstrapTokenRecord] = SqlRows(
            tables_duties.bootstrap_tokens, clusters.BootstrapTokenRecord
        )
        self.projects: Rows[records.ProjectRecord] = projects
        self.tasks: Rows[records.TaskRecord] = SqlRows(tables.tasks, records.TaskRecord, closure=TaskClosure)
        self.workflows: Rows[records.WorkflowRecord] = SqlRows(
            tables.workflows, records.WorkflowRecord, typed_interface=TypedInterface
        )
        self.launch_plans: Rows[records.LaunchPlanRecord] = SqlRows(
            tables.launch_plans, records.LaunchPlanRecord, spec=LaunchPlanSpec, closure=LaunchPlanClosure
        )
        self.named_entities: Rows[records.NamedEntityRecord] = SqlRows(
            tables.named_entity_metadata, records.NamedEntityRecord
        )
        self.descriptions: Rows[records.DescriptionRecord] = SqlRows(
            tables.description_entities, records.DescriptionRecord, long_description=Description
        )
        self.matchables: Rows[records.MatchableRecord] = matchables
        self.executions: Rows[records.ExecutionRecord] = SqlRows(
            tables.executions, records.ExecutionRecord, closure=ExecutionClosure, spec=ExecutionSpec
        )
        self.execution_tags: Rows[records.ExecutionTagRecord] = SqlRows(
            tables.execution_tags, records.ExecutionTagRecord
        )
        self.execution_events: Rows[records.ExecutionEventRecord] = SqlRows(
            tables.execution_events, records.ExecutionEventRecord
        )
        self.node_executions: Rows[records.NodeExecutionRecord] = SqlRows(
            tables.node_executions,
            records.NodeExecutionRecord,
            closure=NodeExecutionClosure,
            node_execution_metadata=NodeExecutionMetaData,
        )
        self.node_execution_events: Rows[records.NodeExecutionEventRecord] = SqlRows(
            tables.node_execution_events, records.NodeExecutionEventRecord
        )
        self.task_executions: Rows[records.TaskExecutionRecord] = SqlRows(
            tables.task_executions, records.TaskExecutionRecord, closure=TaskExecutionClosure
        )
        self.signals: Rows[records.SignalRecord] = SqlRows(
            tables.signals, records.SignalRecord, type=LiteralType, value=Literal
        )

    async def tasks_with_nodes(self, tx: AsyncConnection, task_execution_ids: Sequence[int]) -> frozenset[int]:
        """Return those attempts that started nodes of their own."""
        parent = tables.node_executions.c.parent_task_execution_id
        rows = await tx.execute(select(parent).where(parent.in_(task_execution_ids)).distinct())
        return frozenset(rows.scalars())
