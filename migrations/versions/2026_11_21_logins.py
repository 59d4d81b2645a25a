"""Admins, login sessions and their refresh tokens.

Revision 5d0c8e71b3f4, after 2e94b6d8075a.
"""

import sqlalchemy as sa
from alembic import op

revision = "5d0c8e71b3f4"
down_revision = "2e94b6d8075a"
branch_labels = None
depends_on = None

# Whoever came first would have become the admin.
FIRST_IS_ADMIN = """
    UPDATE users SET is_admin = true
     WHERE id = (SELECT id FROM users ORDER BY created_at, id LIMIT 1)
"""


def upgrade() -> None:
    # A constant default is kept in the catalogue: no row is rewritten.
    op.add_column("users", sa.Column("is_admin", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute(FIRST_IS_ADMIN)
    op.create_table(
        "login_sessions",
        sa.Column("id", sa.Uuid(), server_default=sa.func.gen_random_uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_login_sessions"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_login_sessions_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_login_sessions_user_id", "login_sessions", ["user_id"])
    op.create_index("ix_login_sessions_expires_at", "login_sessions", ["expires_at"])
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.Uuid(), server_default=sa.func.gen_random_uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_refresh_tokens"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["login_sessions.id"],
            name="fk_refresh_tokens_session_id_login_sessions",
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("octet_length(digest) = 32", name=op.f("ck_refresh_tokens_digest_is_sha256")),
        sa.UniqueConstraint("digest", name="uq_refresh_tokens_digest"),
    )
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])


def downgrade() -> None:
    op.drop_table("refresh_tokens")
    op.drop_table("login_sessions")
    op.drop_column("users", "is_admin")
