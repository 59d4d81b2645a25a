"""Seeds: functions and SQL files that fill the template, paid for once per change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgharness.databases import Databases
from pgharness.errors import SchemaError
from pgharness.schema import find, tasks
from pgharness.schema.sowing import sow
from pgharness.server.base import Server
from tests.support.project import Project
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
from tests.support.scratch_server import scratch_server

NOTES = "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL);\n"
INSERT = """
from sqlalchemy import text

def note(name): return text(f"INSERT INTO notes (text) VALUES ('{name}')")
"""
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


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch_server() as running:
        yield running


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    name = "pgh_seed_test"
    execute(server.address, "postgres", f"CREATE DATABASE {name}")
    yield name
    execute(server.address, "postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "schema.sql", NOTES)
    write(tmp_path, "seed_insert.py", INSERT)
    return tmp_path


def seeded(root: Path, server: Server, database: str, *seeds: str, **options: object) -> list[str]:
    """The notes in the order of their ids."""
    options = {"sql": ["schema.sql"], "seed": seeds, **options}
    find(configure(root, **options)).apply(server.address, database)
    return [text for (text,) in fetch(server.address, database, "SELECT text FROM notes ORDER BY id")]


def message(root: Path, server: Server, database: str, *seeds: str, **options: object) -> str:
    with pytest.raises(SchemaError) as caught:
        seeded(root, server, database, *seeds, **options)
    assert server.address.password not in str(caught.value)
    return str(caught.value)


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

    sow({"seeds": ["seeds_plain:session", "seeds_plain:connection"], "url": server.address.url(database)})

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


def test_a_seed_that_raises_is_shown_once(empty_project: Project) -> None:
    empty_project.write("schema.sql", NOTES)
    empty_project.write(
        "shop_seeds.py",
        "def load(session):\n    for number in (1, 0):\n        insert(session, number)\n\n"
        "def insert(session, number):\n    1 / number\n",
    )
    empty_project.write("test_it.py", "def test_one(pg_database): pass\ndef test_two(pg_database): pass\n")

    result = empty_project.pytest(
        "-n", "2", "--pg-sql=schema.sql", "--pg-seed=shop_seeds:load", "-o", "pythonpath=."
    )

    assert result.code == 4, result.output
    text = (
        "pgharness: the seed shop_seeds:load raised ZeroDivisionError: division by zero\n"
        "The last calls were:\n"
        "  shop_seeds.py, line 3, in load: insert(session, number)\n"
        "  shop_seeds.py, line 6, in insert: 1 / number\n"
        "To fix this, either:\n"
        "  - mend the seed; it is called after the schema is built, in a process of its own\n"
        "  - if settings are missing, give them in pg_env, one NAME=TEMPLATE a line"
    )
    assert result.output.replace("ERROR: ", "").count(text) == 1, result.output
    assert len(re.findall("ZeroDivisionError", result.output)) == 1


def test_postgresql_s_own_message_and_the_statement(root: Path, server: Server, database: str) -> None:
    write(
        root,
        "seeds_null.py",
        """
        from sqlalchemy import text
        async def load(db):
            await db.execute(text('INSERT INTO notes VALUES (1)'))
        """,
    )

    found = message(root, server, database, "seeds_null:load").splitlines()

    assert found[:4] == [
        'pgharness: the seed seeds_null:load raised null value in column "text" of relation "notes" violates '
        "not-null constraint (Failing row contains (1, null).)",
        "The last calls were:",
        "  seeds_null.py, line 3, in load: await db.execute(text('INSERT INTO notes VALUES (1)'))",
        "SQL: INSERT INTO notes VALUES (1)",
    ]


def test_a_module_that_raises_when_imported(root: Path, server: Server, database: str) -> None:
    write(root, "seeds_import.py", "import os\nURL = os.environ['SEEDS_NOT_SET']\n")

    found = message(root, server, database, "seeds_import:load").splitlines()

    assert found[:3] == [
        "pgharness: the seed seeds_import:load raised KeyError: 'SEEDS_NOT_SET'",
        "The last calls were:",
        "  seeds_import.py, line 2, in <module>: URL = os.environ['SEEDS_NOT_SET']",
    ]


def test_a_function_that_cannot_be_called(root: Path, server: Server, database: str) -> None:
    write(root, "seeds_wrong.py", "def load(db):\n    async def go(): pass\n    return go()\n")

    assert message(root, server, database, "seeds_wrong:load") == (
        "pgharness: pg_seed names 'seeds_wrong:load' (ini), which cannot be called: "
        "it returned an awaitable, and is not `async def` itself.\n"
        "To fix this, either:\n"
        "  - write it as `async def load(session: AsyncSession)` or `def load(session: Session)`\n"
        "  - give the path of a .sql file"
    )


def test_a_seed_that_connects_elsewhere_is_not_let(root: Path, server: Server, database: str) -> None:
    write(
        root,
        "seeds_away.py",
        """
        from sqlalchemy.ext.asyncio import create_async_engine
        engine = create_async_engine("postgresql+asyncpg://app@localhost/development")
        async def load():
            async with engine.begin(): pass
        """,
    )

    assert message(root, server, database, "seeds_away:load") == (
        "pgharness: the seed seeds_away:load wanted to connect to development on localhost:5432, not to "
        f"{database} on {server.address.host}:{server.address.port}; it was not let.\n"
        "It takes its address from somewhere the harness does not set.\n"
        "Checked:\n"
        "  - pg_env sets nothing\n"
        "To fix this, either:\n"
        '  - set the variable the application reads: pg_env = ["DATABASE_URL={asyncpg_url}"]\n'
        "  - let it be given its session: `async def load(session: AsyncSession)`"
    )


def test_a_seed_that_ends_its_process(root: Path, server: Server, database: str) -> None:
    write(
        root, "seeds_exit.py", "import os\ndef load(db):\n    print('leaving', flush=True)\n    os._exit(3)\n"
    )

    assert message(root, server, database, "seeds_exit:load") == (
        "pgharness: the process that runs pg_seed (seeds_exit:load) ended with code 3 and no result.\n"
        "Its last output was:\n"
        "  leaving\n"
        "To fix this: call the seeds one by one to see it alone"
    )


def test_a_sql_seed_that_fails(root: Path, server: Server, database: str) -> None:
    write(root, "seed.sql", "SELECT 1;\nINSERT INTO nowhere VALUES (1);\n")

    assert message(root, server, database, "seed.sql") == (
        'pgharness: seed.sql, line 2, failed: relation "nowhere" does not exist\n'
        "SQL: INSERT INTO nowhere VALUES (1)\n"
        "To fix this: mend seed.sql"
    )


def test_a_sql_seed_that_is_for_psql_is_refused_before_anything_is_built(
    root: Path, server: Server, database: str
) -> None:
    write(root, "seed.sql", "\\copy notes FROM 'notes.csv'\n")

    found = message(root, server, database, "seed.sql").splitlines()

    assert found[1] == "The files of pg_seed are sent to the server as they are."
    assert fetch(server.address, database, "SELECT FROM pg_tables WHERE tablename = 'notes'") == []
