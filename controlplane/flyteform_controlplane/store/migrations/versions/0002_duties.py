"""The tables of dispatch, scheduler and data catalog."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them all."""
    op.create_table(
        "cached_outputs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("output", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cached_outputs")),
        sa.UniqueConstraint("key", name=op.f("uq_cached_outputs_key")),
    )
    op.create_table(
        "catalog_datasets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("org", sa.String(length=255), nullable=False),
        sa.Column("uuid", sa.String(length=36), nullable=False),
        sa.Column("metadata", sa.LargeBinary(), nullable=False),
        sa.Column("partition_keys", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_datasets")),
        sa.UniqueConstraint("project", "domain", "name", "version", "org", name=op.f("uq_catalog_datasets_project")),
        sa.UniqueConstraint("uuid", name=op.f("uq_catalog_datasets_uuid")),
    )
    op.create_table(
        "catalog_reservations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_reservations")),
        sa.UniqueConstraint("key", name=op.f("uq_catalog_reservations_key")),
    )
    op.create_table(
        "clusters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clusters")),
        sa.UniqueConstraint("name", name=op.f("uq_clusters_name")),
    )
    op.create_table(
        "dispatches",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("execution_project", sa.String(length=255), nullable=False),
        sa.Column("execution_domain", sa.String(length=255), nullable=False),
        sa.Column("execution_name", sa.String(length=255), nullable=False),
        sa.Column("cluster_label", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("cluster", sa.String(length=255), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("abort_cause", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dispatches")),
        sa.UniqueConstraint(
            "execution_project", "execution_domain", "execution_name", name=op.f("uq_dispatches_execution_project")
        ),
    )
    op.create_index(op.f("ix_dispatches_cluster"), "dispatches", ["cluster", "state"], unique=False)
    op.create_index(op.f("ix_dispatches_state"), "dispatches", ["state", "id"], unique=False)
    op.create_table(
        "schedulable_entities",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=255), nullable=False),
        sa.Column("cron_expression", sa.Text(), nullable=False),
        sa.Column("fixed_rate_value", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.Integer(), nullable=False),
        sa.Column("kickoff_time_input_arg", sa.String(length=255), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("cron_offset", sa.String(length=255), nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedulable_entities")),
        sa.UniqueConstraint("project", "domain", "name", "version", name=op.f("uq_schedulable_entities_project")),
    )
    op.create_index(op.f("ix_schedulable_entities_active"), "schedulable_entities", ["active"], unique=False)
    op.create_table(
        "catalog_artifacts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dataset_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("artifact_id", sa.String(length=255), nullable=False),
        sa.Column("metadata", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["catalog_datasets.id"], name=op.f("fk_catalog_artifacts_dataset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_artifacts")),
        sa.UniqueConstraint("dataset_id", "artifact_id", name=op.f("uq_catalog_artifacts_dataset_id")),
    )
    op.create_index(op.f("ix_catalog_artifacts_artifact_id"), "catalog_artifacts", ["artifact_id"], unique=False)
    op.create_table(
        "catalog_artifact_data",
        sa.Column("artifact", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("location", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["artifact"], ["catalog_artifacts.id"], name=op.f("fk_catalog_artifact_data_artifact")),
        sa.PrimaryKeyConstraint("artifact", "position", name=op.f("pk_catalog_artifact_data")),
    )
    op.create_table(
        "catalog_partitions",
        sa.Column("artifact", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["catalog_artifacts.id"], name=op.f("fk_catalog_partitions_artifact")),
        sa.PrimaryKeyConstraint("artifact", "key", name=op.f("pk_catalog_partitions")),
    )
    op.create_index(op.f("ix_catalog_partitions_key"), "catalog_partitions", ["key", "value"], unique=False)
    op.create_table(
        "catalog_tags",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dataset_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("artifact", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["artifact"], ["catalog_artifacts.id"], name=op.f("fk_catalog_tags_artifact")),
        sa.ForeignKeyConstraint(["dataset_id"], ["catalog_datasets.id"], name=op.f("fk_catalog_tags_dataset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_catalog_tags")),
        sa.UniqueConstraint("dataset_id", "name", name=op.f("uq_catalog_tags_dataset_id")),
    )
    op.create_index(op.f("ix_catalog_tags_artifact"), "catalog_tags", ["artifact"], unique=False)


def downgrade() -> None:
    """Remove them all, their indexes with them."""
    for name in (
        "catalog_tags",
        "catalog_partitions",
        "catalog_artifact_data",
        "catalog_artifacts",
        "schedulable_entities",
        "dispatches",
        "clusters",
        "catalog_reservations",
        "catalog_datasets",
        "cached_outputs",
    ):
        op.drop_table(name)
