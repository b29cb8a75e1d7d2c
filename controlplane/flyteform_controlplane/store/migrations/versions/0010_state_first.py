"""Indexes of lists begin with the state: no look-up by name can mistake one for the index of the names.

On a table whose size PostgreSQL does not know yet it held all indexes that begin with project and domain for equal, and
a prepared look-up read every execution of a domain until the table was analyzed.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

EXECUTIONS = ["execution_project", "execution_domain"]
CREATED = "ix_executions_execution_project"
NEWEST = "ix_executions_newest"
STARTED = "ix_executions_started"
PLANS = "ix_launch_plans_project"
ACTIVE = "ix_launch_plans_active"


def upgrade() -> None:
    """Make them anew."""
    op.drop_index(CREATED, "executions")
    op.drop_index(NEWEST, "executions")
    op.drop_index(PLANS, "launch_plans")
    op.create_index(NEWEST, "executions", ["state", *EXECUTIONS, "created_at", "id"])
    op.create_index(STARTED, "executions", ["state", *EXECUTIONS, "execution_created_at"])
    op.create_index(ACTIVE, "launch_plans", ["state", "project", "domain"])


def downgrade() -> None:
    """Make the former ones."""
    op.drop_index(ACTIVE, "launch_plans")
    op.drop_index(STARTED, "executions")
    op.drop_index(NEWEST, "executions")
    op.create_index(PLANS, "launch_plans", ["project", "domain", "state"])
    op.create_index(NEWEST, "executions", [*EXECUTIONS, "state", "created_at", "id"])
    op.create_index(CREATED, "executions", [*EXECUTIONS, "execution_created_at"])
