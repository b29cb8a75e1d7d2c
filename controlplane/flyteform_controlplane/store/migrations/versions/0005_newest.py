"""An index in the order in which clients list executions."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMNS = ["execution_project", "execution_domain", "state", "created_at", "id"]


def upgrade() -> None:
    """Create it."""
    op.create_index("ix_executions_newest", "executions", COLUMNS)


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_executions_newest", "executions")
