"""Posts, with the words that are searched for.

Revision c3a17be04d59, after 91c4e2d7a6b8.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "c3a17be04d59"
down_revision = "91c4e2d7a6b8"
branch_labels = None
depends_on = None

WORDS = "setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', content), 'B')"


def upgrade() -> None:
    op.create_table(
        "posts",
        sa.Column("id", sa.Uuid(), server_default=sa.func.gen_random_uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("words", postgresql.TSVECTOR(), sa.Computed(WORDS, persisted=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_posts"),
        sa.ForeignKeyConstraint(
            ["author_id"], ["users.id"], name="fk_posts_author_id_users", ondelete="CASCADE"
        ),
        sa.CheckConstraint("btrim(title) <> ''", name=op.f("ck_posts_title_not_blank")),
        sa.CheckConstraint("char_length(content) BETWEEN 1 AND 50000", name=op.f("ck_posts_content_length")),
    )
    op.create_index("ix_posts_author_id", "posts", ["author_id"])
    op.create_index("ix_posts_created_at_id", "posts", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("posts")
