"""The tables of FlyteAdmin, named with their columns as Flyte's database has them, since clients' filters name columns.

Messages are kept as serialized protobuf (`closure`, `spec`, …); beside them stand the columns to filter and sort by.
Durations are nanoseconds, as in Flyte's database. An identifier of an execution is the three `execution_*` columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from flyteform_controlplane.store.types import RowId, UtcDateTime

if TYPE_CHECKING:
    from sqlalchemy.sql.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NAME = String(255)


def numbered(name: str, *columns: SchemaItem) -> Table:
    """Return a table whose rows have a number and two times."""
    return Table(
        name,
        metadata,
        Column("id", RowId, primary_key=True, autoincrement=True),
        Column("created_at", UtcDateTime, nullable=False),
        Column("updated_at", UtcDateTime, nullable=False),
        *columns,
    )


def flyte_table(name: str, *columns: SchemaItem) -> Table:
    """Return a table with the four columns that all of Flyte's tables have."""
    return numbered(name, Column("deleted_at", UtcDateTime), *columns)


def _entity_key() -> list[SchemaItem]:
    names = ("project", "domain", "name", "version")
    return [*(Column(name, NAME, nullable=False) for name in names), UniqueConstraint(*names)]


def _execution_key() -> list[SchemaItem]:
    return [Column(name, NAME, nullable=False) for name in EXECUTION_KEY]


EXECUTION_KEY = ("execution_project", "execution_domain", "execution_name")

projects = flyte_table(
    "projects",
    Column("identifier", NAME, nullable=False, unique=True),
    Column("name", NAME, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("labels", LargeBinary, nullable=False, default=b""),
    Column("state", Integer, nullable=False, default=0),
)

tasks = flyte_table(
    "tasks",
    *_entity_key(),
    Column("closure", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("type", NAME, nullable=False, default=""),
    Column("short_description", Text, nullable=False, default=""),
)

workflows = flyte_table(
    "workflows",
    *_entity_key(),
    Column("typed_interface", LargeBinary, nullable=False),
    Column("remote_closure_identifier", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("short_description", Text, nullable=False, default=""),
)

launch_plans = flyte_table(
    "launch_plans",
    *_entity_key(),
    Column("spec", LargeBinary, nullable=False),
    Column("workflow_id", RowId, ForeignKey("workflows.id"), nullable=False, index=True),
    Column("closure", LargeBinary, nullable=False),
    Column("state", Integer, nullable=False, default=0),
    Column("digest", LargeBinary, nullable=False),
    Column("schedule_type", String(16), nullable=False, default="NONE"),
    Column("launch_condition_type", String(16)),
    Index("ix_launch_plans_active", "state", "project", "domain"),
)

named_entity_metadata = flyte_table(
    "named_entity_metadata",
    Column("resource_type", Integer, nullable=False),
    Column("project", NAME, nullable=False),
    Column("domain", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("state", Integer, nullable=False, default=0),
    UniqueConstraint("resource_type", "project", "domain", "name"),
)

description_entities = flyte_table(
    "description_entities",
    Column("resource_type", Integer, nullable=False),
    Column("project", NAME, nullable=False),
    Column("domain", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("version", NAME, nullable=False),
    Column("short_description", Text, nullable=False, default=""),
    Column("long_description", LargeBinary, nullable=False, default=b""),
    Column("link", Text, nullable=False, default=""),
    UniqueConstraint("resource_type", "project", "domain", "name", "version"),
)

# Matchable attributes; a blank column matches everything.
resources = flyte_table(
    "resources",
    Column("project", NAME, nullable=False, default=""),
    Column("domain", NAME, nullable=False, default=""),
    Column("workflow", NAME, nullable=False, default=""),
    Column("launch_plan", NAME, nullable=False, default=""),
    Column("resource_type", NAME, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attributes", LargeBinary, nullable=False),
    UniqueConstraint("project", "domain", "workflow", "launch_plan", "resource_type"),
)

executions = flyte_table(
    "executions",
    *_execution_key(),
    Column("launch_plan_id", RowId, ForeignKey("launch_plans.id")),
    Column("workflow_id", RowId, ForeignKey("workflows.id"), index=True),
    Column("task_id", RowId, ForeignKey("tasks.id"), index=True),
    Column("phase", String(32), nullable=False),
    Column("closure", LargeBinary, nullable=False),
    Column("spec", LargeBinary, nullable=False),
    Column("started_at", UtcDateTime),
    Column("execution_created_at", UtcDateTime),
    Column("execution_updated_at", UtcDateTime),
    Column("duration", BigInteger, nullable=False, default=0),
    Column("abort_cause", Text, nullable=False, default=""),
    Column("mode", Integer, nullable=False, default=0),
    Column("source_execution_id", RowId),
    Column("parent_node_execution_id", RowId, index=True),
    Column("cluster", NAME, nullable=False, default=""),
    Column("inputs_uri", Text, nullable=False, default=""),
    Column("user_inputs_uri", Text, nullable=False, default=""),
    Column("error_kind", String(16)),
    Column("error_code", NAME),
    Column("user", NAME, nullable=False, default=""),
    Column("state", Integer, nullable=False, default=0),
    Column("launch_entity", String(16), nullable=False, default=""),
    UniqueConstraint(*EXECUTION_KEY),
    Index(None, "launch_plan_id", "phase"),
    # Lists name a state, look-ups by key do not: so these never take an index of a list for that of the keys.
    Index("ix_executions_newest", "state", "execution_project", "execution_domain", "created_at", "id"),
    Index("ix_executions_started", "state", "execution_project", "execution_domain", "execution_created_at"),
)

# Ours, not Flyte's: how many executions of a list (a state, project and domain) come after one point of its order by
# creation and until another, that row included; None while they are being counted. Triggers keep it right.
execution_blocks = Table(
    "execution_blocks",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("execution_project", NAME, nullable=False),
    Column("execution_domain", NAME, nullable=False),
    Column("state", Integer, nullable=False),
    Column("after_at", UtcDateTime, nullable=False),
    Column("after_id", RowId, nullable=False),
    Column("until_at", UtcDateTime, nullable=False),
    Column("until_id", RowId, nullable=False),
    Column("number", RowId),
    Index(None, "state", "execution_project", "execution_domain", "until_at", "until_id"),
)

execution_tags = flyte_table(
    "execution_tags",
    *_execution_key(),
    Column("key", NAME, nullable=False),
    Column("value", NAME, nullable=False, default=""),
    UniqueConstraint(*EXECUTION_KEY, "key", "value"),
)

execution_events = flyte_table(
    "execution_events",
    *_execution_key(),
    Column("request_id", NAME, nullable=False, default=""),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("phase", String(32), nullable=False),
    Index(None, *EXECUTION_KEY),
)

node_executions = flyte_table(
    "node_executions",
    *_execution_key(),
    Column("node_id", NAME, nullable=False),
    Column("phase", String(32), nullable=False),
    Column("input_uri", Text, nullable=False, default=""),
    Column("closure", LargeBinary, nullable=False),
    Column("started_at", UtcDateTime),
    Column("node_execution_created_at", UtcDateTime),
    Column("node_execution_updated_at", UtcDateTime),
    Column("duration", BigInteger, nullable=False, default=0),
    Column("node_execution_metadata", LargeBinary, nullable=False, default=b""),
    Column("parent_id", RowId, index=True),
    Column("parent_task_execution_id", RowId, index=True),
    Column("error_kind", String(16)),
    Column("error_code", NAME),
    Column("cache_status", String(32)),
    Column("dynamic_workflow_remote_closure_reference", Text, nullable=False, default=""),
    Column("internal_data", LargeBinary, nullable=False, default=b""),
    UniqueConstraint(*EXECUTION_KEY, "node_id"),
)

node_execution_events = flyte_table(
    "node_execution_events",
    *_execution_key(),
    Column("node_id", NAME, nullable=False),
    Column("request_id", NAME, nullable=False, default=""),
    Column("occurred_at", UtcDateTime, nullable=False),
    Column("phase", String(32), nullable=False),
    Index(None, *EXECUTION_KEY, "node_id"),
)

# `project` to `version` name the task here, the execution columns the node that runs it.
task_executions = flyte_table(
    "task_executions",
    *_execution_key(),
    Column("node_id", NAME, nullable=False),
    Column("project", NAME, nullable=False),
    Column("domain", NAME, nullable=False),
    Column("name", NAME, nullable=False),
    Column("version", NAME, nullable=False),
    Column("retry_attempt", Integer, nullable=False),
    Column("phase", String(32), nullable=False),
    Column("phase_version", Integer, nullable=False, default=0),
    Column("input_uri", Text, nullable=False, default=""),
    Column("closure", LargeBinary, nullable=False),
    Column("started_at", UtcDateTime),
    Column("task_execution_created_at", UtcDateTime),
    Column("task_execution_updated_at", UtcDateTime),
    Column("duration", BigInteger, nullable=False, default=0),
    UniqueConstraint(*EXECUTION_KEY, "node_id", "project", "domain", "name", "version", "retry_attempt"),
)

signals = flyte_table(
    "signals",
    *_execution_key(),
    Column("signal_id", NAME, nullable=False),
    Column("type", LargeBinary, nullable=False),
    Column("value", LargeBinary),
    UniqueConstraint(*EXECUTION_KEY, "signal_id"),
)

# Ours, not Flyte's: small closures and inputs, which Flyte has as objects apart. `key` is in the URI that names one.
kept_objects = Table(
    "kept_objects",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
