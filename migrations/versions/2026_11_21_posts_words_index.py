"""The index that searches posts, made while they are written and read.

Revision d81f6a25c7e0, after c3a17be04d59.
"""

from alembic import op

revision = "d81f6a25c7e0"
down_revision = "c3a17be04d59"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # One that was interrupted leaves an index that is not valid, and in the way.
        op.drop_index("ix_posts_words", "posts", if_exists=True, postgresql_concurrently=True)
        op.create_index(
            "ix_posts_words", "posts", ["words"], postgresql_using="gin", postgresql_concurrently=True
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.drop_index("ix_posts_words", "posts", if_exists=True, postgresql_concurrently=True)
