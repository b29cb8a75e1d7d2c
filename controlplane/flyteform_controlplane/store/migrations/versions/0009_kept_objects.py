"""Small closures and inputs, kept with the rows that name them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "kept_objects",
        sa.Column("key", sa.String(length=32), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_kept_objects")),
    )


def downgrade() -> None:
    """Drop it, while nothing is in it: former versions would find no closure and no inputs."""
    if op.get_bind().execute(sa.text("SELECT 1 FROM kept_objects LIMIT 1")).first():
        raise RuntimeError("kept_objects holds closures and inputs that a former version could not read")
    op.drop_table("kept_objects")
