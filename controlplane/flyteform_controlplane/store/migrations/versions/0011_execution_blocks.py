"""How many executions each stretch of a list holds, kept right by the database itself, whoever writes.

The stretches of a list follow each other from the beginning of time to the newest of them, so the one that holds a row
is the first that does not end before it. What is newer than all of them is counted when it is asked for.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

LIST = ("state", "execution_project", "execution_domain")
KEY = (*LIST, "created_at", "id")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the table and what keeps it."""
    op.create_table(
        "execution_blocks",
        sa.Column("id", NUMBER, nullable=False, autoincrement=True),
        sa.Column("execution_project", sa.String(length=255), nullable=False),
        sa.Column("execution_domain", sa.String(length=255), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("after_at", TIME, nullable=False),
        sa.Column("after_id", NUMBER, nullable=False),
        sa.Column("until_at", TIME, nullable=False),
        sa.Column("until_id", NUMBER, nullable=False),
        sa.Column("number", NUMBER),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_execution_blocks")),
    )
    op.create_index("ix_execution_blocks_state", "execution_blocks", [*LIST, "until_at", "until_id"])
    for statement in _POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE:
        op.execute(sa.text(statement))


def downgrade() -> None:
    """Drop them."""
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    for name in ("inserted", "deleted", "updated"):
        trigger = f"execution_blocks_{name}"
        op.execute(sa.text(f"DROP TRIGGER {trigger}" + (" ON executions" if on_postgresql else "")))
        if on_postgresql:
            op.execute(sa.text(f"DROP FUNCTION {trigger}()"))
    op.drop_table("execution_blocks")


def _block_of(row: str) -> str:
    same = " AND ".join(f"b.{name} = {row}.{name}" for name in LIST)
    return (
        f"SELECT b.id FROM execution_blocks b WHERE {same} "  # noqa: S608 - names of ours
        f"AND (b.until_at, b.until_id) >= ({row}.created_at, {row}.id) ORDER BY b.until_at, b.until_id LIMIT 1"
    )


def _count(row: str, change: str) -> str:
    return f"UPDATE execution_blocks SET number = number {change} WHERE id = ({_block_of(row)});"  # noqa: S608 - as above


def _count_all(rows: str, sign: str) -> str:
    """Count a statement's rows: as a bulk load would change one block's row as often as it has rows."""
    found = f"SELECT ({_block_of('r')}) AS id, count(*) AS rows FROM {rows} r GROUP BY 1"  # noqa: S608 - as above
    return f"UPDATE execution_blocks b SET number = b.number {sign} n.rows FROM ({found}) n WHERE b.id = n.id;"  # noqa: S608 - as above


def _function(name: str, body: str) -> str:
    declared = f"CREATE FUNCTION execution_blocks_{name}() RETURNS trigger LANGUAGE plpgsql"
    return f"{declared} AS $$ BEGIN {body} RETURN NULL; END $$"


def _trigger(name: str, when: str, then: str) -> str:
    return f"CREATE TRIGGER execution_blocks_{name} AFTER {when} {then}"


_EACH = "FOR EACH ROW"
_CALLED = "EXECUTE FUNCTION execution_blocks_{}()"
_MOVED = [f"{row}.{name}" for row in ("OLD", "NEW") for name in KEY]
# Two that archive and bring back rows of the same blocks take the blocks in one order.
_MOVE = (
    f"IF OLD.state > NEW.state THEN {_count('NEW', '+ 1')} {_count('OLD', '- 1')} "
    f"ELSE {_count('OLD', '- 1')} {_count('NEW', '+ 1')} END IF;"
)
_POSTGRESQL = (
    _function("inserted", _count_all("changed", "+")),
    _function("deleted", _count_all("changed", "-")),
    _function("updated", _MOVE),
    _trigger(
        "inserted",
        "INSERT ON executions REFERENCING NEW TABLE AS changed",
        "FOR EACH STATEMENT " + _CALLED.format("inserted"),
    ),
    _trigger(
        "deleted",
        "DELETE ON executions REFERENCING OLD TABLE AS changed",
        "FOR EACH STATEMENT " + _CALLED.format("deleted"),
    ),
    _trigger(
        "updated",
        "UPDATE ON executions",
        f"{_EACH} WHEN (({', '.join(_MOVED[:5])}) IS DISTINCT FROM ({', '.join(_MOVED[5:])})) "
        + _CALLED.format("updated"),
    ),
)
_SQLITE = (
    _trigger("inserted", "INSERT ON executions", f"{_EACH} BEGIN {_count('NEW', '+ 1')} END"),
    _trigger("deleted", "DELETE ON executions", f"{_EACH} BEGIN {_count('OLD', '- 1')} END"),
    _trigger(
        "updated",
        "UPDATE ON executions",
        f"{_EACH} WHEN ({', '.join(_MOVED[:5])}) IS NOT ({', '.join(_MOVED[5:])}) "
        f"BEGIN {_count('OLD', '- 1')} {_count('NEW', '+ 1')} END",
    ),
)
