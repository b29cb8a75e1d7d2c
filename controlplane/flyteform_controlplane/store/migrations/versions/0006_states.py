"""The tables of states of declarations."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = ("project", "domain", "name")


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "states",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.String(length=255), nullable=False) for name in KEY),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.String(length=255), nullable=False),
        sa.Column("holder", sa.String(length=255), nullable=False),
        sa.Column("acquired_at", sa.DateTime(timezone=True)),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_states")),
        sa.UniqueConstraint(*KEY, name=op.f("uq_states_project")),
    )
    op.create_table(
        "state_documents",
        sa.Column("id", ROW_ID, autoincrement=True, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.String(length=255), nullable=False) for name in KEY),
        sa.Column("serial", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_state_documents")),
        sa.UniqueConstraint(*KEY, "serial", name=op.f("uq_state_documents_project")),
    )


def downgrade() -> None:
    """Remove them; whoever keeps a state here moves it elsewhere before (`flyteform state pull`)."""
    op.drop_table("state_documents")
    op.drop_table("states")
