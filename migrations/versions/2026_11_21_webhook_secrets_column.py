"""A column for the secrets of webhooks, encrypted; from here on no new webhook goes without.

Processes of the release before cannot register webhooks until they are replaced.

Revision c3f81d05a7e9, after 72d4a9c1e5b6.
"""

import sqlalchemy as sa
from alembic import op

revision = "c3f81d05a7e9"
down_revision = "72d4a9c1e5b6"
branch_labels = None
depends_on = None

CHECK = "ck_webhooks_secret_encrypted"


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("encrypted_secret", sa.Text(), nullable=True))
    op.execute(f"ALTER TABLE webhooks ADD CONSTRAINT {CHECK} CHECK (encrypted_secret IS NOT NULL) NOT VALID")


def downgrade() -> None:
    op.drop_constraint(CHECK, "webhooks")
    op.drop_column("webhooks", "encrypted_secret")
