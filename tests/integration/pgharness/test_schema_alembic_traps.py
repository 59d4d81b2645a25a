"""The env.py files of real projects: each of these was seen in a public code base."""

from __future__ import annotations

import logging
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

from pgharness.schema.find import find
from pgharness.server.base import Server
from tests.support.schema_projects import (
    ASYNC_ENV,
    CREATE_USERS,
    SYNC_ENV,
    alembic_project,
    configure,
    execute,
    fetch,
    migration,
    tables,
    write,
)

OLD_ALEMBIC = Version(metadata.version("alembic")) < Version("1.16")
MIGRATED = {"public.users", "public.alembic_version"}


pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


def migrated(root: Path, server: Server, database: str, **options: object) -> set[str]:
    find(configure(root, **options)).apply(server.address, database)
    return tables(server.address, database)


def test_a_synchronous_env_py(tmp_path: Path, server: Server, database: str) -> None:
    assert migrated(alembic_project(tmp_path), server, database) == MIGRATED


def test_asyncio_run_at_import(tmp_path: Path, server: Server, database: str) -> None:
    assert migrated(alembic_project(tmp_path, env=ASYNC_ENV), server, database) == MIGRATED


async def test_asyncio_run_while_the_caller_is_inside_a_loop(
    tmp_path: Path, server: Server, database: str
) -> None:
    assert migrated(alembic_project(tmp_path, env=ASYNC_ENV), server, database) == MIGRATED


async def test_a_coroutine_handed_to_the_running_loop(tmp_path: Path, server: Server, database: str) -> None:
    env = ASYNC_ENV.replace(
        "asyncio.run(main())",
        """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(main())
    else:
        asyncio.run_coroutine_threadsafe(main(), loop).result()
""",
    )

    assert migrated(alembic_project(tmp_path, env=env), server, database) == MIGRATED


def test_the_current_loop_of_the_main_thread(tmp_path: Path, server: Server, database: str) -> None:
    env = ASYNC_ENV.replace("asyncio.run(main())", "asyncio.new_event_loop().run_until_complete(main())")

    assert migrated(alembic_project(tmp_path, env=env), server, database) == MIGRATED


def test_a_sync_driver_derived_from_the_async_url(tmp_path: Path, server: Server, database: str) -> None:
    env = SYNC_ENV.replace(
        "config = context.config",
        """config = context.config
    url = config.get_main_option("sqlalchemy.url")
    config.set_main_option("sqlalchemy.url", url.replace("+asyncpg", "+psycopg").replace("%", "%%"))""",
    )
    project = alembic_project(tmp_path, env=env, ini="sqlalchemy.url = postgresql+asyncpg://app@db/app\n")

    assert migrated(project, server, database) == MIGRATED


def test_an_engine_of_its_own_from_settings_cached_at_import(
    tmp_path: Path, server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_DB_NAME", "the_worker_s_database")
    write(
        tmp_path,
        "shop_settings.py",
        """
        import os
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy import URL

        NAMES = ("host", "port", "user", "pw", "name")
        URL_PARTS = {part: os.environ["SHOP_DB_" + part.upper()] for part in NAMES}
        engine = create_async_engine(URL.create(
            "postgresql+asyncpg", URL_PARTS["user"], URL_PARTS["pw"], URL_PARTS["host"],
            int(URL_PARTS["port"]), URL_PARTS["name"],
        ))
        """,
    )
    env = """
        import asyncio
        from alembic import context
        from shop_settings import engine

        def migrate(connection):
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()

        async def main():
            async with engine.connect() as connection:
                await connection.run_sync(migrate)

        asyncio.run(main())
    """
    parts = ["HOST={host}", "PORT={port}", "USER={user}", "PW={password}", "NAME={database}"]

    found = migrated(
        alembic_project(tmp_path, env=env), server, database, env=[f"SHOP_DB_{part}" for part in parts]
    )

    assert found == MIGRATED


def test_the_url_is_in_the_attributes_too(tmp_path: Path, server: Server, database: str) -> None:
    env = """
        from alembic import context
        from sqlalchemy import create_engine

        assert context.config.attributes.get("connection") is None
        with create_engine(context.config.attributes["pgharness_url"]).begin() as connection:
            context.configure(connection=connection)
            context.run_migrations()
    """

    assert migrated(alembic_project(tmp_path, env=env), server, database) == MIGRATED


def test_an_env_py_that_insists_on_a_connection(tmp_path: Path, server: Server, database: str) -> None:
    env = """
        from alembic import context

        connection = context.config.attributes["connection"]
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
    """

    assert migrated(alembic_project(tmp_path, env=env), server, database) == MIGRATED


def test_several_version_directories(tmp_path: Path, server: Server, database: str) -> None:
    alembic_project(tmp_path, ini="version_locations = migrations/versions %(here)s/more\n")
    write(tmp_path, "more/b1.py", migration("b1", "a1", 'op.execute("CREATE TABLE more ()")'))

    assert migrated(tmp_path, server, database) == {*MIGRATED, "public.more"}


@pytest.mark.skipif(OLD_ALEMBIC, reason="Alembic reads pyproject.toml from 1.16 on")
def test_pyproject_alone(tmp_path: Path, server: Server, database: str) -> None:
    alembic_project(tmp_path)
    (tmp_path / "alembic.ini").unlink()
    write(tmp_path, "pyproject.toml", '[tool.alembic]\nscript_location = "%(here)s/migrations"\n')

    assert migrated(tmp_path, server, database) == MIGRATED


def test_a_project_in_a_subdirectory_with_imports_of_its_own(
    tmp_path: Path, server: Server, database: str
) -> None:
    env = "    import shop_in_backend\n" + SYNC_ENV
    alembic_project(tmp_path / "backend", env=env, ini="prepend_sys_path = .\n")
    write(tmp_path, "backend/shop_in_backend.py", "")

    assert migrated(tmp_path, server, database, migrations="backend/alembic.ini") == MIGRATED


def test_a_directory_of_migrations_named_alembic(tmp_path: Path, server: Server, database: str) -> None:
    write(tmp_path, "alembic.ini", "[alembic]\nscript_location = alembic\n")
    write(tmp_path, "alembic/__init__.py", "")
    write(tmp_path, "alembic/env.py", SYNC_ENV)
    write(tmp_path, "alembic/versions/a1.py", migration("a1", None, CREATE_USERS))

    assert migrated(tmp_path, server, database) == MIGRATED


def test_steps_outside_a_transaction(tmp_path: Path, server: Server, database: str) -> None:
    for kind, env in (("sync", SYNC_ENV), ("async", ASYNC_ENV)):
        project = alembic_project(
            tmp_path / kind,
            env=env,
            migrations={
                "a1.py": migration(
                    "a1", None, f"{CREATE_USERS}\nop.execute(\"CREATE TYPE mood AS ENUM ('ok')\")"
                ),
                "b1.py": migration(
                    "b1",
                    "a1",
                    """
                    with op.get_context().autocommit_block():
                        op.execute("ALTER TYPE mood ADD VALUE 'sad'")
                        op.create_index("ix", "users", ["id"], postgresql_concurrently=True)
                    op.execute("CREATE TABLE moods AS SELECT 'sad'::mood")
                    """,
                ),
            },
        )

        assert migrated(project, server, database) == {*MIGRATED, "public.moods"}
        execute(server.address, database, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


def test_loggers_of_this_process_are_left_alone(
    tmp_path: Path, server: Server, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    env = "    from logging.config import fileConfig\n    from alembic import context\n"
    env += "    fileConfig(context.config.config_file_name)\n" + SYNC_ENV
    ini = """
        [loggers]
        keys = root
        [handlers]
        keys =
        [formatters]
        keys =
        [logger_root]
        level = CRITICAL
        handlers =
    """
    logger = logging.getLogger("shop.orders")

    assert migrated(alembic_project(tmp_path, env=env, ini=ini), server, database) == MIGRATED

    logger.warning("still heard")
    assert not logger.disabled
    assert caplog.messages == ["still heard"]


def test_output_and_input_of_the_migrations_do_not_matter(
    tmp_path: Path, server: Server, database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = "import sys; print('noise'); sys.stderr.write('noise'); assert sys.stdin.read() == ''"
    body = f"{noise}\n{CREATE_USERS}"
    project = alembic_project(tmp_path, migrations={"a1.py": migration("a1", None, body)})

    assert migrated(project, server, database) == MIGRATED
    assert capfd.readouterr() == ("", "")


def test_sql_and_extensions_come_first(tmp_path: Path, server: Server, database: str) -> None:
    write(tmp_path, "before.sql", "CREATE SCHEMA shop; CREATE TABLE shop.from_sql (email citext);")
    body = 'op.execute("CREATE TABLE shop.from_migration (LIKE shop.from_sql)")'
    project = alembic_project(tmp_path, migrations={"a1.py": migration("a1", None, body)})

    found = migrated(project, server, database, sql=["before.sql"], extensions=["citext", "pg_trgm"])

    assert found == {"shop.from_sql", "shop.from_migration", "public.alembic_version"}
    extensions = fetch(server.address, database, "SELECT extname::text FROM pg_extension ORDER BY 1")
    assert extensions == [("citext",), ("pg_trgm",), ("plpgsql",)]


def test_a_dump_that_is_at_head_needs_no_migration(tmp_path: Path, server: Server, database: str) -> None:
    dump = "CREATE TABLE users (); CREATE TABLE alembic_version (version_num text); "
    write(tmp_path, "dump.sql", dump + "INSERT INTO alembic_version VALUES ('a1');")

    assert migrated(alembic_project(tmp_path), server, database, sql=["dump.sql"]) == MIGRATED


def test_no_migration_yet_leaves_an_empty_database(tmp_path: Path, server: Server, database: str) -> None:
    project = alembic_project(tmp_path, migrations={})
    (project / "migrations/versions").mkdir()

    assert migrated(project, server, database) == {"public.alembic_version"}
