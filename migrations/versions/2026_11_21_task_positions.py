"""Places and versions of tasks: the columns. Those that are there have no place yet.

Revision 4be9d2061f73, after d81f6a25c7e0.
"""

import sqlalchemy as sa
from alembic import op

revision = "4be9d2061f73"
down_revision = "d81f6a25c7e0"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SEQUENCE task_positions")
    op.add_column("tasks", sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False))
    # In two steps: a column that begins with a default of its own for each row is a rewrite of the table.
    op.add_column("tasks", sa.Column("position", sa.BigInteger(), nullable=True))
    op.alter_column("tasks", "position", server_default=sa.text("nextval('task_positions')"))


def downgrade() -> None:
    op.drop_column("tasks", "position")
    op.drop_column("tasks", "version")
    op.execute("DROP SEQUENCE task_positions")
