"""The secrets of webhooks are kept encrypted only, under the first of SERVICE_WEBHOOK_KEYS.

They are encrypted beside the table's use, a thousand at a time; what was interrupted goes on where it was.
No key is needed where there is nothing to encrypt. When the plain column goes, workers of the release
before can claim nothing any more: messages wait in the outbox until they are replaced.

Revision 94be6027fd1c, after c3f81d05a7e9.
"""

import sqlalchemy as sa
from alembic import context, op
from alembic.util import CommandError
from cryptography.fernet import Fernet, MultiFernet
from pydantic import ValidationError

from service.settings import KeySettings

revision = "94be6027fd1c"
down_revision = "c3f81d05a7e9"
branch_labels = None
depends_on = None

CHECK = "ck_webhooks_secret_encrypted"
PLAIN = "SELECT id, secret FROM webhooks WHERE encrypted_secret IS NULL LIMIT 1000"
ENCRYPT = "UPDATE webhooks SET encrypted_secret = :encrypted WHERE id = :id"
NONE_LEFT = """
    DO $$ BEGIN
        IF EXISTS (SELECT FROM webhooks WHERE encrypted_secret IS NULL) THEN
            RAISE 'SQL cannot encrypt the secrets of webhooks: run python -m service.migrate';
        END IF;
    END $$
"""
ENCRYPTED = "SELECT id, encrypted_secret FROM webhooks"
DECRYPT = "UPDATE webhooks SET secret = :secret WHERE id = :id"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        encrypt()
        op.execute(f"ALTER TABLE webhooks VALIDATE CONSTRAINT {CHECK}")
    # PostgreSQL believes the check, and looks at no row.
    op.alter_column("webhooks", "encrypted_secret", existing_type=sa.Text(), nullable=False)
    op.drop_constraint(CHECK, "webhooks")
    op.drop_column("webhooks", "secret")


def downgrade() -> None:
    op.add_column("webhooks", sa.Column("secret", sa.String(100), nullable=True))
    rows = [] if context.is_offline_mode() else op.get_bind().execute(sa.text(ENCRYPTED)).all()
    if rows:
        keys = cipher()
        secrets = [
            {"id": row.id, "secret": keys.decrypt(row.encrypted_secret.encode()).decode()} for row in rows
        ]
        op.get_bind().execute(sa.text(DECRYPT), secrets)
    op.alter_column("webhooks", "secret", existing_type=sa.String(100), nullable=False)
    op.alter_column("webhooks", "encrypted_secret", existing_type=sa.Text(), nullable=True)
    op.execute(f"ALTER TABLE webhooks ADD CONSTRAINT {CHECK} CHECK (encrypted_secret IS NOT NULL) NOT VALID")


def encrypt() -> None:
    if context.is_offline_mode():
        op.execute(NONE_LEFT)
        return
    connection = op.get_bind()
    while rows := connection.execute(sa.text(PLAIN)).all():
        keys = cipher()
        encrypted = [{"id": row.id, "encrypted": keys.encrypt(row.secret.encode()).decode()} for row in rows]
        connection.execute(sa.text(ENCRYPT), encrypted)


def cipher() -> MultiFernet:
    """The keys of the settings.

    Raises:
        CommandError: There are none, and nothing says that this is a development.
    """
    asked = "the secrets of webhooks are to be encrypted or decrypted: "
    try:
        settings = KeySettings.load()
    except ValidationError as error:
        reasons = [each["msg"].removeprefix("Value error, ") for each in error.errors()]
        raise CommandError(asked + "; ".join(reasons)) from None
    if not settings.model_fields_set:  # nobody should encrypt a board in use with the key everybody knows
        raise CommandError(asked + "set SERVICE_WEBHOOK_KEYS, or SERVICE_ENVIRONMENT=development")
    return MultiFernet([Fernet(key.get_secret_value()) for key in settings.webhook_keys])
