"""The data migration that encrypts the secrets of webhooks: rows before, after, and taken back."""

import pytest
from alembic.util import CommandError
from cryptography.fernet import Fernet, MultiFernet
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.fixtures import Database
from service.migrate import MigrateSettings, MigrationError, migrate
from tests.support.migrations import downgrade, upgrade

PLAIN, WITH_COLUMN, ENCRYPTED = "72d4a9c1e5b6", "c3f81d05a7e9", "94be6027fd1c"
OLD_KEY, NEW_KEY = (Fernet.generate_key().decode() for _ in range(2))

USER = "INSERT INTO users (email, name, password_hash) VALUES ('ada@b.c', 'Ada', '-')"
WEBHOOKS = """
    INSERT INTO webhooks (owner_id, url, secret)
    SELECT id, 'https://b.c/' || number, 'whsec_' || number FROM users, generate_series(1, :rows) AS number
"""
SECRETS = "SELECT url, secret FROM webhooks"
ENCRYPTED_SECRETS = "SELECT url, encrypted_secret FROM webhooks"
COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_name = 'webhooks'"


@pytest.fixture(autouse=True)
def in_production_without_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_ENVIRONMENT", "production")
    monkeypatch.delenv("SERVICE_WEBHOOK_KEYS", raising=False)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> MultiFernet:
    """The keys of the settings, the new one first."""
    monkeypatch.setenv("SERVICE_WEBHOOK_KEYS", f"{NEW_KEY},{OLD_KEY}")
    return MultiFernet([Fernet(NEW_KEY), Fernet(OLD_KEY)])


async def insert(engine: AsyncEngine, rows: int) -> dict[str, str]:
    """Make webhooks as the release before did; the secret of each URL."""
    async with engine.begin() as connection:
        await connection.execute(text(USER))
        await connection.execute(text(WEBHOOKS), {"rows": rows})
    return await read(engine, SECRETS)


async def read(engine: AsyncEngine, query: str) -> dict[str, str]:
    async with engine.connect() as connection:
        return {row.url: row[1] for row in await connection.execute(text(query))}


async def columns(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.scalars(text(COLUMNS)))


async def test_every_secret_is_encrypted_and_the_plain_ones_are_gone(
    pg_empty_database: Database, engine: AsyncEngine, keys: MultiFernet
) -> None:
    await upgrade(pg_empty_database, PLAIN)
    plain = await insert(engine, rows=1001)  # more than are encrypted at once

    await upgrade(pg_empty_database, ENCRYPTED)

    encrypted = await read(engine, ENCRYPTED_SECRETS)
    first = Fernet(NEW_KEY)  # the first key encrypts
    assert {url: first.decrypt(secret).decode() for url, secret in encrypted.items()} == plain
    assert "secret" not in await columns(engine)


async def test_taken_back_the_secrets_are_what_they_were(
    pg_empty_database: Database, engine: AsyncEngine, keys: MultiFernet
) -> None:
    await upgrade(pg_empty_database, PLAIN)
    plain = await insert(engine, rows=2)
    await upgrade(pg_empty_database, ENCRYPTED)

    await downgrade(pg_empty_database, PLAIN)

    assert await read(engine, SECRETS) == plain
    assert "encrypted_secret" not in await columns(engine)


async def test_while_it_runs_no_plain_secret_comes_in(
    pg_empty_database: Database, engine: AsyncEngine
) -> None:
    await upgrade(pg_empty_database, WITH_COLUMN)

    with pytest.raises(IntegrityError, match="ck_webhooks_secret_encrypted"):
        await insert(engine, rows=1)


async def test_without_a_key_nothing_is_changed_and_a_sentence_says_which(
    pg_empty_database: Database, engine: AsyncEngine
) -> None:
    await upgrade(pg_empty_database, PLAIN)
    plain = await insert(engine, rows=1)

    with pytest.raises(MigrationError) as caught:
        await migrate(MigrateSettings(database_url=SecretStr(pg_empty_database.asyncpg_url)))

    assert str(caught.value) == (
        "The migrations cannot be run: the secrets of webhooks are to be encrypted or decrypted:"
        " SERVICE_WEBHOOK_KEYS must be set in production; make one with: openssl rand -base64 32"
    )
    assert await read(engine, SECRETS) == plain


async def test_nobody_encrypts_with_the_key_of_developments_by_forgetting(
    pg_empty_database: Database, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SERVICE_ENVIRONMENT")
    await upgrade(pg_empty_database, PLAIN)
    await insert(engine, rows=1)

    with pytest.raises(CommandError) as caught:
        await upgrade(pg_empty_database, ENCRYPTED)

    assert str(caught.value) == (
        "the secrets of webhooks are to be encrypted or decrypted: set SERVICE_WEBHOOK_KEYS, or"
        " SERVICE_ENVIRONMENT=development"
    )


async def test_a_board_without_webhooks_needs_no_key(
    pg_empty_database: Database, engine: AsyncEngine
) -> None:
    await upgrade(pg_empty_database, ENCRYPTED)

    assert {"encrypted_secret"} & await columns(engine)
