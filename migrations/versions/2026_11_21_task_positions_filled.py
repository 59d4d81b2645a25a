"""A place for each task that has none: each owner's in the order in which they were made.

Data alone, a thousand owners at a time, each time a transaction: nobody waits for more than that, and
what was interrupted goes on where it was. The places of the old end at 0, those of the new begin at 1.

Revision 8a5c07f3d91b, after 4be9d2061f73.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "8a5c07f3d91b"
down_revision = "4be9d2061f73"
branch_labels = None
depends_on = None

BATCH = """
    WITH owners AS (
        SELECT DISTINCT owner_id FROM tasks WHERE position IS NULL LIMIT 1000
    ), placed AS (
        SELECT id, 1 - row_number() OVER (PARTITION BY owner_id ORDER BY created_at DESC, id DESC) AS position
          FROM tasks JOIN owners USING (owner_id) WHERE position IS NULL
    )
    UPDATE tasks SET position = placed.position FROM placed WHERE tasks.id = placed.id
"""


def upgrade() -> None:
    if context.is_offline_mode():
        # A script cannot look how much is left.
        op.execute(BATCH.replace("LIMIT 1000", ""))
        return
    with op.get_context().autocommit_block():
        while op.get_bind().execute(sa.text(BATCH)).rowcount:
            pass


def downgrade() -> None:
    """The places stay where they are: the column goes with the revision before."""
