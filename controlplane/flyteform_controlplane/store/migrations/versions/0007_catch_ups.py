"""How many missed firings are made up for, by launch plan."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = ("project", "domain", "name")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "launch_plan_catch_ups",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.String(length=255), nullable=False) for name in KEY),
        sa.Column("max", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_launch_plan_catch_ups")),
        sa.UniqueConstraint(*KEY, name=op.f("uq_launch_plan_catch_ups_project")),
    )


def downgrade() -> None:
    """Drop it: every schedule catches up as the platform is set to."""
    op.drop_table("launch_plan_catch_ups")
