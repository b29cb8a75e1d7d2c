"""Tables, columns and their types as a stock Flyte v1.16 database has them: filters and sort keys name them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from flyteform_controlplane.store.tables_duties import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

# As gorm's migrations make them on PostgreSQL: text (or varchar), bytes (bytea), number (integer or bigint; durations
# are nanoseconds), time (timestamptz), flag (boolean).
BASE = "id:number created_at:time updated_at:time deleted_at:time"
ENTITY = "project:text domain:text name:text version:text"
EXECUTION = "execution_project:text execution_domain:text execution_name:text"
EVENT = "request_id:text occurred_at:time phase:text"
FLYTE = {
    "projects": "identifier:text name:text description:text labels:bytes state:number",
    "tasks": f"{ENTITY} closure:bytes digest:bytes type:text short_description:text",
    "workflows": f"{ENTITY} typed_interface:bytes remote_closure_identifier:text digest:bytes short_description:text",
    "launch_plans": f"{ENTITY} spec:bytes workflow_id:number closure:bytes state:number digest:bytes "
    "schedule_type:text launch_condition_type:text",
    "named_entity_metadata": "resource_type:number project:text domain:text name:text description:text state:number",
    "description_entities": f"resource_type:number {ENTITY} short_description:text long_description:bytes link:text",
    "resources": "project:text domain:text workflow:text launch_plan:text resource_type:text priority:number "
    "attributes:bytes",
    "executions": f"{EXECUTION} launch_plan_id:number workflow_id:number task_id:number phase:text closure:bytes "
    "spec:bytes started_at:time execution_created_at:time execution_updated_at:time duration:number abort_cause:text "
    "mode:number source_execution_id:number parent_node_execution_id:number cluster:text inputs_uri:text "
    "user_inputs_uri:text error_kind:text error_code:text user:text state:number launch_entity:text",
    "execution_tags": f"{EXECUTION} key:text value:text",
    "execution_events": f"{EXECUTION} {EVENT}",
    "node_executions": f"{EXECUTION} node_id:text phase:text input_uri:text closure:bytes started_at:time "
    "node_execution_created_at:time node_execution_updated_at:time duration:number node_execution_metadata:bytes "
    "parent_id:number parent_task_execution_id:number error_kind:text error_code:text cache_status:text "
    "dynamic_workflow_remote_closure_reference:text internal_data:bytes",
    "node_execution_events": f"{EXECUTION} node_id:text {EVENT}",
    "task_executions": f"{ENTITY} {EXECUTION} node_id:text retry_attempt:number phase:text phase_version:number "
    "input_uri:text closure:bytes started_at:time task_execution_created_at:time task_execution_updated_at:time "
    "duration:number",
    "signals": f"{EXECUTION} signal_id:text type:bytes value:bytes",
    "schedulable_entities": f"{ENTITY} cron_expression:text fixed_rate_value:number unit:number "
    "kickoff_time_input_arg:text active:flag",
}
# What is ours beside Flyte's columns; a filter that names it is no stock client's.
OURS: Mapping[str, set[str]] = {"schedulable_entities": {"cron_offset", "activated_at", "last_fired_at"}}
KINDS: Mapping[type, str] = {str: "text", bytes: "bytes", int: "number", datetime: "time", bool: "flag"}


def kind_of(column: Any) -> str:
    """Return the kind of values that the column holds."""
    return KINDS[getattr(column.type, "impl", column.type).python_type]


@pytest.mark.parametrize("table", sorted(FLYTE))
def test_table_has_flytes_columns_of_flytes_kinds(table: str) -> None:
    """Every column of the stock table is there and holds the same kind of value; beside them are only known ones."""
    expected = dict(one.split(":") for one in f"{BASE} {FLYTE[table]}".split())
    found = {column.name: kind_of(column) for column in metadata.tables[table].columns}
    assert {name: kind for name, kind in found.items() if name not in OURS.get(table, ())} == expected


def test_what_flyte_has_no_longer_or_not_needed_is_not_there() -> None:
    """Flyte dropped its tables of admin tags in 2024; what has fired last stands in each schedule's row."""
    assert not {"admin_tags", "execution_admin_tags", "schedule_entities_snapshots"} & metadata.tables.keys()
