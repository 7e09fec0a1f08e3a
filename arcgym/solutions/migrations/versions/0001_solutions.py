"""The table of solutions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_Text = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
_Hash = sa.String(64).with_variant(postgresql.VARCHAR(64, collation="C"), "postgresql")
_Number = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "solutions",
        sa.Column("number", _Number, primary_key=True, autoincrement=True),
        sa.Column("task_hash", _Hash, nullable=False),
        sa.Column("program_hash", _Hash, nullable=False),
        sa.Column("task_id", _Text, nullable=False),
        sa.Column("program", _Text, nullable=False),
        sa.Column("normal_form", _Text, nullable=False),
        sa.Column("status", _Text, nullable=False),
        sa.Column("verdicts", _Text, nullable=False),
        sa.Column("outputs", _Text, nullable=False),
        sa.Column("output_signature", _Hash, nullable=False),
        sa.Column("pass_share", sa.Double, nullable=False),
        sa.Column("length", sa.Integer, nullable=False),
        sa.Column("log_prob", sa.Double),
        sa.Column("view_share", sa.Double),
        sa.Column("fresh_share", sa.Double),
        sa.Column("source_policy", _Text, nullable=False),
        sa.Column("source_revision", _Text, nullable=False),
        sa.Column("sampling", _Text, nullable=False),
        sa.Column("parent", _Text),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.UniqueConstraint("task_hash", "program_hash", name="uq_solutions_task_program"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_solutions_task_id", "solutions", ["task_id"])


def downgrade() -> None:
    """Drop the table with all that it holds."""
    op.drop_table("solutions")
