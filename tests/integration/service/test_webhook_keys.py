"""The keys that encrypt webhooks' secrets are changed while the service runs."""

import json
import os
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from pgharness.fixtures import Database
from service.models import User
from service.settings import KeySettings
from service.webhooks.encryption import SecretCipher
from tests.support.factories import MakeWebhook

# Another process sees what is committed, and nothing else.
pytestmark = pytest.mark.pg(isolation="database")

OLD, NEW, LOST = (Fernet.generate_key().decode() for _ in range(3))


def cipher(*keys: str) -> SecretCipher:
    return SecretCipher.of(KeySettings(webhook_keys=tuple(SecretStr(key) for key in keys)))


def rotate(database: Database, *keys: str) -> tuple[int, list[str]]:
    """Run the command with these keys; its exit code, and the messages of its log."""
    settings = {"SERVICE_DATABASE_URL": database.asyncpg_url, "SERVICE_WEBHOOK_KEYS": ",".join(keys)}
    done = subprocess.run(
        [sys.executable, "-m", "service.webhooks.rotate"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, [json.loads(line)["message"] for line in done.stderr.splitlines()]


async def test_after_a_rotation_the_old_key_can_go(
    pg_database: Database, ada: User, make_webhook: MakeWebhook, db_session: AsyncSession
) -> None:
    webhook = await make_webhook(owner_id=ada.id, encrypted_secret=cipher(OLD).encrypt("whsec_1"))
    changed_at = webhook.updated_at

    code, log = rotate(pg_database, NEW, OLD)

    await db_session.refresh(webhook)
    assert (code, log) == (0, ["renewed"])
    assert cipher(NEW).decrypt(webhook.encrypted_secret) == "whsec_1"
    assert webhook.updated_at == changed_at


async def test_a_secret_under_a_lost_key_is_named_and_left_and_the_others_are_renewed(
    pg_database: Database, ada: User, make_webhook: MakeWebhook, db_session: AsyncSession
) -> None:
    lost = await make_webhook(owner_id=ada.id, encrypted_secret=cipher(LOST).encrypt("whsec_1"))
    other = await make_webhook(owner_id=ada.id, encrypted_secret=cipher(OLD).encrypt("whsec_2"))

    code, log = rotate(pg_database, NEW, OLD)

    await db_session.refresh(lost)
    await db_session.refresh(other)
    sentence = "not renewed: its secret cannot be decrypted with the keys there are"
    assert (code, log) == (1, [sentence, "renewed"])
    assert cipher(LOST).decrypt(lost.encrypted_secret) == "whsec_1"
    assert cipher(NEW).decrypt(other.encrypted_secret) == "whsec_2"
