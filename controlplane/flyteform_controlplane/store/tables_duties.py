"""The tables of dispatch, scheduler and data catalog, in the same database and metadata as FlyteAdmin's."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text
from sqlalchemy import UniqueConstraint as Unique

from flyteform_controlplane.store.tables import EXECUTION_KEY, NAME, flyte_table, metadata, numbered
from flyteform_controlplane.store.types import RowId, UtcDateTime

# Clusters that were declared, or whose data planes have registered at least once.
clusters = numbered(
    "clusters",
    Column("name", NAME, nullable=False, unique=True),
    # A JSON list of what the data plane registered with; counts only for a cluster that nobody has declared.
    Column("labels", Text, nullable=False),
    # A JSON object of what was declared: each label's weight, under "" that of work without a label.
    Column("weights", Text),
    Column("state", String(16), nullable=False),
    # The number of the newest connection: who speaks for the cluster on another one is out of date.
    Column("epoch", BigInteger, nullable=False),
    Column("version", NAME, nullable=False),
    Column("heartbeat_at", UtcDateTime),
    Column("spec", LargeBinary, nullable=False, default=b""),
    # Counts the declarations.
    Column("revision", BigInteger, nullable=False, default=0),
    # Since when it is not heard, in whichever state.
    Column("lost_since", UtcDateTime),
    Column("storage", LargeBinary, nullable=False, default=b""),
    Column("kubernetes_version", NAME, nullable=False, default=""),
    Column("capacity", BigInteger, nullable=False, default=0),
    # The public key of a data plane that has redeemed a bootstrap token.
    Column("pinned_key", Text, nullable=False, default=""),
    Column("sync", LargeBinary, nullable=False, default=b""),
)

# Tokens for the first login of data planes, by the SHA-256 of each.
bootstrap_tokens = numbered(
    "bootstrap_tokens",
    Column("digest", NAME, nullable=False, unique=True),
    Column("cluster", NAME, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Column("used_at", UtcDateTime),
)

# What a replica asks of a data plane that is connected to another one, and what came back, in order.
link_requests = numbered(
    "link_requests",
    Column("number", BigInteger, nullable=False, unique=True),
    Column("cluster", NAME, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

link_answers = numbered(
    "link_answers",
    Column("number", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("message", LargeBinary, nullable=False),
    Unique("number", "position"),
)

# One row from an execution's creation to its end: in the queue, leased, or held by a data plane.
dispatches = numbered(
    "dispatches",
    *(Column(name, NAME, nullable=False) for name in EXECUTION_KEY),
    Column("cluster_label", NAME, nullable=False),
    Column("state", String(16), nullable=False),
    Column("cluster", NAME, nullable=False, default=""),
    # Counts the leases of this execution; only the newest can be acknowledged.
    Column("epoch", BigInteger, nullable=False, default=0),
    # LEASED: when the lease ends. QUEUED: not to be tried before, after a failure.
    Column("due_at", UtcDateTime),
    Column("failures", Integer, nullable=False, default=0),
    Column("abort_cause", Text),
    Unique(*EXECUTION_KEY),
    Index(None, "state", "id"),
    Index(None, "cluster", "state"),
)

# What was set for a launch plan through flyteform.v1.
launch_plan_policies = numbered(
    "launch_plan_policies",
    *(Column(name, NAME, nullable=False) for name in ("project", "domain", "name")),
    Column("max", BigInteger, nullable=False),
    Column("behavior", String(16), nullable=False),
    Unique("project", "domain", "name"),
)

launch_plan_catch_ups = numbered(
    "launch_plan_catch_ups",
    *(Column(name, NAME, nullable=False) for name in ("project", "domain", "name")),
    Column("max", BigInteger, nullable=False),
    Unique("project", "domain", "name"),
)

# States of declarations, their locks, and the newest of their documents.
states = numbered(
    "states",
    *(Column(name, NAME, nullable=False) for name in ("project", "domain", "name")),
    Column("serial", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    # Counts the locks: who writes with a former number has lost the lock meanwhile.
    Column("fence", BigInteger, nullable=False),
    Column("token", NAME, nullable=False),
    Column("holder", NAME, nullable=False),
    Column("acquired_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Unique("project", "domain", "name"),
)

state_documents = numbered(
    "state_documents",
    *(Column(name, NAME, nullable=False) for name in ("project", "domain", "name")),
    Column("serial", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Unique("project", "domain", "name", "serial"),
)

# Executions that wait for a slot of their launch plan: `project` to `name` name that.
waiting_executions = numbered(
    "waiting_executions",
    *(Column(name, NAME, nullable=False) for name in (*EXECUTION_KEY, "project", "domain", "name")),
    Column("cluster_label", NAME, nullable=False),
    Unique(*EXECUTION_KEY),
    Index(None, "project", "domain", "name"),
)

# Flyte's columns, and below them ours: it keeps the last firings of all schedules in one blob elsewhere.
schedulable_entities = flyte_table(
    "schedulable_entities",
    *(Column(name, NAME, nullable=False) for name in ("project", "domain", "name", "version")),
    Column("cron_expression", Text, nullable=False),
    Column("fixed_rate_value", BigInteger, nullable=False),
    Column("unit", Integer, nullable=False),
    Column("kickoff_time_input_arg", NAME, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("cron_offset", NAME, nullable=False),
    Column("activated_at", UtcDateTime, nullable=False),
    Column("last_fired_at", UtcDateTime),
    Unique("project", "domain", "name", "version"),
    Index(None, "active"),
)

# `partition_keys` is a JSON list, in the order in which they were declared.
datasets = numbered(
    "catalog_datasets",
    *(Column(name, NAME, nullable=False) for name in ("project", "domain", "name", "version", "org")),
    Column("uuid", String(36), nullable=False, unique=True),
    Column("metadata", LargeBinary, nullable=False),
    Column("partition_keys", Text, nullable=False),
    Unique("project", "domain", "name", "version", "org"),
)

artifacts = numbered(
    "catalog_artifacts",
    Column("dataset_id", RowId, ForeignKey("catalog_datasets.id"), nullable=False),
    Column("artifact_id", NAME, nullable=False, index=True),
    Column("metadata", LargeBinary, nullable=False),
    Unique("dataset_id", "artifact_id"),
)

# A literal is inline (`value`) or, when it is large, an object (`location`).
artifact_data = Table(
    "catalog_artifact_data",
    metadata,
    Column("artifact", RowId, ForeignKey("catalog_artifacts.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", NAME, nullable=False),
    Column("value", LargeBinary),
    Column("location", Text),
)

partitions = Table(
    "catalog_partitions",
    metadata,
    Column("artifact", RowId, ForeignKey("catalog_artifacts.id"), primary_key=True),
    Column("key", NAME, primary_key=True),
    Column("value", NAME, nullable=False),
    Index(None, "key", "value"),
)

tags = numbered(
    "catalog_tags",
    Column("dataset_id", RowId, ForeignKey("catalog_datasets.id"), nullable=False),
    Column("name", NAME, nullable=False),
    Column("artifact", RowId, ForeignKey("catalog_artifacts.id"), nullable=False, index=True),
    Unique("dataset_id", "name"),
)

# Who computes a cache entry now; `key` is the catalog's or the cache service's name of the entry.
reservations = numbered(
    "catalog_reservations",
    Column("key", Text, nullable=False, unique=True),
    Column("owner_id", Text, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

cached_outputs = numbered(
    "cached_outputs",
    Column("key", Text, nullable=False, unique=True),
    Column("output", LargeBinary, nullable=False),
)

# Which replica does what only one may do; the lease is free again once it has ended.
duty_leases = numbered(
    "duty_leases",
    Column("name", NAME, nullable=False, unique=True),
    Column("holder", NAME, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)
