"""What is declared and known of clusters, bootstrap tokens, and questions to data planes of other replicas."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _numbered() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    )


def upgrade() -> None:
    """Create them; clusters that are there were declared by nobody."""
    with op.batch_alter_table("clusters") as table:
        table.alter_column("heartbeat_at", existing_type=sa.DateTime(timezone=True), nullable=True)
        table.add_column(sa.Column("weights", sa.Text()))
        table.add_column(sa.Column("spec", sa.LargeBinary(), nullable=False, server_default=""))
        table.add_column(sa.Column("revision", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("lost_since", sa.DateTime(timezone=True)))
        table.add_column(sa.Column("storage", sa.LargeBinary(), nullable=False, server_default=""))
        table.add_column(sa.Column("kubernetes_version", sa.String(length=255), nullable=False, server_default=""))
        table.add_column(sa.Column("capacity", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("pinned_key", sa.Text(), nullable=False, server_default=""))
        table.add_column(sa.Column("sync", sa.LargeBinary(), nullable=False, server_default=""))
    if op.get_bind().dialect.name == "sqlite":
        # There the default of a new column is a text.
        op.execute("UPDATE clusters SET spec = x'', storage = x'', sync = x''")
    op.create_table(
        "bootstrap_tokens",
        *_numbered(),
        sa.Column("digest", sa.String(length=255), nullable=False),
        sa.Column("cluster", sa.String(length=255), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bootstrap_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_bootstrap_tokens_digest")),
    )
    op.create_table(
        "link_requests",
        *_numbered(),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("cluster", sa.String(length=255), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_requests")),
        sa.UniqueConstraint("number", name=op.f("uq_link_requests_number")),
    )
    op.create_table(
        "link_answers",
        *_numbered(),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link_answers")),
        sa.UniqueConstraint("number", "position", name=op.f("uq_link_answers_number")),
    )


def downgrade() -> None:
    """Remove them; a cluster that never connected is forgotten."""
    op.drop_table("link_answers")
    op.drop_table("link_requests")
    op.drop_table("bootstrap_tokens")
    op.execute("DELETE FROM clusters WHERE heartbeat_at IS NULL")
    with op.batch_alter_table("clusters") as table:
        for name in ("sync", "pinned_key", "capacity", "kubernetes_version", "storage", "lost_since", "revision"):
            table.drop_column(name)
        table.drop_column("spec")
        table.drop_column("weights")
        table.alter_column("heartbeat_at", existing_type=sa.DateTime(timezone=True), nullable=False)
