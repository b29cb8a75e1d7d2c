"""The `flyte://` names of inputs, outputs and decks (contract 1.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flyteidl.admin.common_pb2 import FlyteURLs

if TYPE_CHECKING:
    from flyteform_controlplane.domain.records import NodeExecutionRecord, TaskExecutionRecord


def node_urls(record: NodeExecutionRecord) -> FlyteURLs:
    """Return the names of a node's data; a deck only if it has one."""
    prefix = _prefix(record)
    return FlyteURLs(inputs=f"{prefix}/i", outputs=f"{prefix}/o", deck=f"{prefix}/d" if record.closure.deck_uri else "")


def task_urls(record: TaskExecutionRecord) -> FlyteURLs:
    """Return the names of an attempt's data."""
    prefix = f"{_prefix(record)}/{record.retry_attempt}"
    return FlyteURLs(inputs=f"{prefix}/i", outputs=f"{prefix}/o")


def _prefix(record: NodeExecutionRecord | TaskExecutionRecord) -> str:
    execution = f"{record.execution_project}/{record.execution_domain}/{record.execution_name}"
    return f"flyte://v1/{execution}/{record.node_id}"
