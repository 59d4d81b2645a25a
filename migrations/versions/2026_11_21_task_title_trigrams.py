"""Parts of titles are found by an index, which needs an extension.

Revision 16c8e3f9a0d2, after f02d6b8e4a17.
"""

from alembic import op

revision = "16c8e3f9a0d2"
down_revision = "f02d6b8e4a17"
branch_labels = None
depends_on = None

NAME = "ix_tasks_title_trigrams"


def upgrade() -> None:
    # A trusted extension: who owns the database may have it, and nobody else needs to be asked.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "tasks", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            NAME,
            "tasks",
            ["title"],
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops"},
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index(NAME, "tasks", if_exists=True, postgresql_concurrently=True)
    op.execute("DROP EXTENSION pg_trgm")
