"""Each task has a place of its own in its owner's list.

Nothing here reads the table while it is locked: the index is made and the check proved beside its use.

Revision f02d6b8e4a17, after 8a5c07f3d91b.
"""

import sqlalchemy as sa
from alembic import op

revision = "f02d6b8e4a17"
down_revision = "8a5c07f3d91b"
branch_labels = None
depends_on = None

NAME = "uq_tasks_owner_id_position"
CHECK = "ck_tasks_position_given"


def upgrade() -> None:
    op.execute(f"ALTER TABLE tasks ADD CONSTRAINT {CHECK} CHECK (position IS NOT NULL) NOT VALID")
    with op.get_context().autocommit_block():
        op.execute(f"ALTER TABLE tasks VALIDATE CONSTRAINT {CHECK}")
        op.drop_index(NAME, "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(NAME, "tasks", ["owner_id", "position"], unique=True, postgresql_concurrently=True)
    # PostgreSQL believes the check, and looks at no row.
    op.alter_column("tasks", "position", existing_type=sa.BigInteger(), nullable=False)
    op.drop_constraint(CHECK, "tasks")
    op.execute(
        f"ALTER TABLE tasks ADD CONSTRAINT {NAME} UNIQUE USING INDEX {NAME} DEFERRABLE INITIALLY DEFERRED"
    )


def downgrade() -> None:
    op.drop_constraint(NAME, "tasks")
    op.alter_column("tasks", "position", existing_type=sa.BigInteger(), nullable=True)
