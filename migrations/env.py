"""Alembic's entry: runs the migrations, or writes their SQL with ``--sql``."""

import asyncio
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from service.models import Base
from service.settings import DatabaseSettings

config = context.config

# A migration that waits for a lock makes everybody after it wait too: it gives up, and is run again.
SESSION = {
    "application_name": "migrations",
    "lock_timeout": config.attributes.get("lock_timeout", "5s"),
    "statement_timeout": "0",  # a role's own is made for requests; building an index takes its time
}

# Only for `alembic` on the command line: fileConfig replaces the root logger's handlers, and a
# program that runs migrations (a test run, say) has its own.
if config.cmd_opts is not None and config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)


def database_url() -> str:
    """What the caller put into ``attributes["url"]``, else ``sqlalchemy.url``, else the service's setting."""
    given = config.attributes.get("url") or config.get_main_option("sqlalchemy.url")
    return given or DatabaseSettings.load().database_url.get_secret_value()


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_online() -> None:
    engine = create_async_engine(
        database_url(),
        poolclass=pool.NullPool,
        connect_args={"server_settings": SESSION},
    )
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


def run_offline() -> None:
    context.configure(
        url=database_url(),
        target_metadata=Base.metadata,
        literal_binds=True,
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        for name, value in SESSION.items():
            context.execute(f"SET {name} = '{value}'")
        context.run_migrations()


if context.is_offline_mode():
    run_offline()
elif isinstance(given := config.attributes.get("connection"), Connection):
    run(given)
else:
    asyncio.run(run_online())
