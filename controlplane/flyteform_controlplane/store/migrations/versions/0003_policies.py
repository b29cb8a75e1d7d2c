"""The tables of concurrency policies, and an index for what they count."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "launch_plan_policies",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("max", sa.BigInteger(), nullable=False),
        sa.Column("behavior", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_launch_plan_policies")),
        sa.UniqueConstraint("project", "domain", "name", name=op.f("uq_launch_plan_policies_project")),
    )
    op.create_table(
        "waiting_executions",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("execution_project", sa.String(length=255), nullable=False),
        sa.Column("execution_domain", sa.String(length=255), nullable=False),
        sa.Column("execution_name", sa.String(length=255), nullable=False),
        sa.Column("project", sa.String(length=255), nullable=False),
        sa.Column("domain", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("cluster_label", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_executions")),
        sa.UniqueConstraint(
            "execution_project",
            "execution_domain",
            "execution_name",
            name=op.f("uq_waiting_executions_execution_project"),
        ),
    )
    op.create_index(op.f("ix_waiting_executions_project"), "waiting_executions", ["project", "domain", "name"])
    op.drop_index(op.f("ix_executions_launch_plan_id"), "executions")
    op.create_index(op.f("ix_executions_launch_plan_id"), "executions", ["launch_plan_id", "phase"])


def downgrade() -> None:
    """Drop them; executions that wait stay queued for ever, so let them start before."""
    op.drop_index(op.f("ix_executions_launch_plan_id"), "executions")
    op.create_index(op.f("ix_executions_launch_plan_id"), "executions", ["launch_plan_id"])
    op.drop_table("waiting_executions")
    op.drop_table("launch_plan_policies")
