"""Seeds: functions and SQL files that fill the template, paid for once per change."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgharness.databases.databases import Databases
from pgharness.schema import tasks
from pgharness.schema.find import find
from pgharness.schema.seed_functions import call
from pgharness.server.base import Server
from tests.support.schema_projects import (
    ASYNC_ENV,
    alembic_project,
    configure,
    execute,
    fetch,
    migration,
    tables,
    write,
)
from tests.support.seed_projects import NOTES, seed_project, seeded

EVERY_SIGNATURE = """
    from __future__ import annotations
    import os
    from typing import TYPE_CHECKING, Annotated

    from fastapi import Depends
    from seed_insert import note
    from sqlalchemy import Connection, create_engine, func, select
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
    if TYPE_CHECKING:
        from sqlalchemy import orm

    class Own(AsyncSession): pass
    engine = create_async_engine(os.environ["APP_URL"])

    async def async_session(session: AsyncSession): await session.execute(note("async_session"))
    async def own_session(session: Annotated[Own, Depends(object)]):
        assert type(session) is Own
        await session.execute(note("own_session"))
    async def async_connection(conn: AsyncConnection): await conn.execute(note("async_connection"))
    async def bare_async(db, count=1):
        assert isinstance(db, AsyncSession)
        await db.execute(note("bare_async"))
        await db.commit()
        await db.execute(note("after its own commit"))
    def session(session: orm.Session): session.execute(note("session"))
    def connection(connection: Connection): connection.execute(note("connection"))
    def bare(db): db.scalars(select(func.now())); db.execute(note("bare"))
    async def engine_of_the_app():
        async with engine.begin() as connection: await connection.execute(note("engine_of_the_app"))
    async def engine_of_the_app_again():
        async with engine.begin() as connection: await connection.execute(note("again"))
"""


pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return seed_project(tmp_path)


def test_functions_of_every_signature_in_their_order(root: Path, server: Server, database: str) -> None:
    write(root, "seeds_all.py", EVERY_SIGNATURE)
    names = [
        "own_session", "async_session", "async_connection", "bare_async", "session", "connection", "bare",
        "engine_of_the_app", "engine_of_the_app_again",
    ]  # fmt: skip

    found = seeded(
        root, server, database, *(f"seeds_all:{name}" for name in names), env=["APP_URL={asyncpg_url}"]
    )

    assert found == [*names[:4], "after its own commit", *names[4:-1], "again"]


def test_an_async_function_gets_the_driver_of_the_tests(root: Path, server: Server, database: str) -> None:
    write(
        root,
        "seeds_driver.py",
        """
        from seed_insert import note
        async def load(session): await session.execute(note(session.get_bind().dialect.driver))
        """,
    )

    execute(server.address, database, NOTES)
    psycopg = ["APP_URL={psycopg_url}"]

    for options in ({"env": psycopg}, {"env": psycopg, "driver": "asyncpg"}, {}):
        found = seeded(root, server, database, "seeds_driver:load", sql=[], **options)

    assert found == ["psycopg", "asyncpg", "asyncpg"]


def test_plain_functions_where_asyncpg_is_the_only_driver(
    root: Path, server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        root,
        "seeds_plain.py",
        """
        from seed_insert import note
        from sqlalchemy import Connection
        def session(db): db.execute(note("session")); db.commit(); db.execute(note("and after"))
        def connection(db: Connection): db.execute(note("connection"))
        """,
    )
    execute(server.address, database, NOTES)
    monkeypatch.syspath_prepend(root)
    monkeypatch.setattr(tasks, "sync_driver", lambda: "")

    call({"seeds": ["seeds_plain:session", "seeds_plain:connection"], "url": server.address.url(database)})

    found = fetch(server.address, database, "SELECT text FROM notes ORDER BY id")
    assert found == [("session",), ("and after",), ("connection",)]


def test_sql_files_and_functions_after_real_migrations(root: Path, server: Server, database: str) -> None:
    project = alembic_project(
        root, env=ASYNC_ENV, migrations={"a1.py": migration("a1", None, f"op.execute({NOTES!r})")}
    )
    write(
        project,
        "seeds/one.sql",
        "INSERT INTO notes (text) VALUES ('one; 1');\nCREATE INDEX CONCURRENTLY i ON notes (text);",
    )
    write(project, "seeds/three.sql", "INSERT INTO notes (text) VALUES ('three');")
    write(project, "seeds_two.py", "from seed_insert import note\ndef load(db): db.execute(note('two'))\n")

    found = seeded(project, server, database, "seeds/one.sql", "seeds_two:load", "seeds/three.sql", sql=[])

    assert found == ["one; 1", "two", "three"]


def test_a_seed_may_run_the_migrations_of_a_second_database(
    root: Path, server: Server, database: str
) -> None:
    env = """
        from alembic import context
        context.configure(connection=context.config.attributes["connection"], version_table="archive_version")
        with context.begin_transaction():
            context.run_migrations()
    """
    step = "op.execute('CREATE TABLE archive (); INSERT INTO notes (text) VALUES (1)')"
    alembic_project(
        root, env=ASYNC_ENV, migrations={"a1.py": migration("a1", None, f"op.execute({NOTES!r})")}
    )
    alembic_project(root / "archive", env=env, migrations={"z1.py": migration("z1", None, step)})
    write(root, "archive/alembic.ini", "[alembic]\nscript_location = archive/migrations\n")
    write(
        root,
        "seeds_archive.py",
        """
        from alembic import command
        from alembic.config import Config
        from sqlalchemy import Connection

        def migrate_archive(connection: Connection) -> None:
            config = Config("archive/alembic.ini")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        """,
    )

    assert seeded(root, server, database, "seeds_archive:migrate_archive", sql=[]) == ["1"]
    assert tables(server.address, database) == {
        *("public.alembic_version", "public.archive_version", "public.notes", "public.archive")
    }


def test_a_seed_is_paid_for_once_per_change(root: Path, server: Server) -> None:
    """On a server that outlives the runs: the second finds the template, a changed seed builds another."""
    write(root, "shop_seeds/__init__.py", "")
    write(root, "shop_seeds/other.py", "")
    body = """
        from pathlib import Path
        from seed_insert import note

        def load(db):
            db.execute(note("{}"))
            with Path("runs").open("a") as file: file.write("x")
    """
    write(root, "shop_seeds/notes.py", body.format("a"))

    first = run(root, server)
    write(root, "shop_seeds/other.py", "changed = True")
    second = run(root, server)
    write(root, "shop_seeds/notes.py", body.format("b"))
    third = run(root, server)

    assert [first, second, third] == [(False, ["a"]), (True, ["a"]), (False, ["b"])]
    assert (root / "runs").read_text() == "xx"


def run(root: Path, server: Server) -> tuple[bool, list[str]]:
    """Whether the template was there already, and the notes in a clone."""
    config = configure(root, sql=["schema.sql"], seed=["shop_seeds.notes:load"])
    databases = Databases(server, run_id="seedrun", config=config)
    databases.open()
    try:
        template = databases.template(find(config))
        notes = fetch(server.address, databases.clone("gw0"), "SELECT text FROM notes")
    finally:
        databases.close()
    return template.hit, [text for (text,) in notes]
