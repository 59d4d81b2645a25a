"""Schemas without Alembic: create_all, plain SQL files, extensions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from pgharness.errors import SchemaError
from pgharness.schema import tasks
from pgharness.schema.find import find
from pgharness.server.base import Server
from tests.support.schema_projects import (
    ASYNC_ENV,
    alembic_project,
    apply,
    configure,
    execute,
    fetch,
    message,
    tables,
    write,
)

MODELS = """
    import os
    from sqlalchemy import Integer
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

    URL = os.environ["SHOP_URL"]

    class Base(DeclarativeBase): pass

    class Order(Base):
        __tablename__ = "orders"
        __table_args__ = {"schema": "shop"}
        id: Mapped[int] = mapped_column(primary_key=True)
"""


pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


def test_nothing_configured_leaves_an_empty_database(tmp_path: Path, server: Server, database: str) -> None:
    assert apply(tmp_path, server, database) == set()


@pytest.mark.parametrize("target", ["shop_models:Base.metadata", "shop_models:Base"])
def test_create_all_with_the_schemas_its_tables_are_in(
    tmp_path: Path, server: Server, database: str, target: str
) -> None:
    write(tmp_path, "shop_models.py", MODELS)

    assert apply(tmp_path, server, database, metadata=target, env=["SHOP_URL={asyncpg_url}"]) == {
        "shop.orders"
    }


def test_create_all_where_asyncpg_is_the_only_driver(
    tmp_path: Path, server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "shop_asyncpg.py", MODELS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SHOP_URL", "")
    monkeypatch.setattr(tasks, "sync_driver", lambda: "")

    tasks._create_all({"metadata": "shop_asyncpg:Base", "url": server.address.url(database)})

    assert tables(server.address, database) == {"shop.orders"}


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("shop_nowhere.models:Base", "there is no module 'shop_nowhere'."),
        ("shop_bad.nowhere:Base", "there is no module 'shop_bad.nowhere'."),
        ("shop_bad:Base.metadata", "shop_bad has no attribute 'Base.metadata'."),
        ("shop_bad:number", "it is a int, not a MetaData."),
    ],
)
def test_metadata_that_is_not_there(
    tmp_path: Path, server: Server, database: str, target: str, reason: str
) -> None:
    write(tmp_path, "shop_bad/__init__.py", "number = 1\n")

    assert message(tmp_path, server, database, metadata=target) == (
        f"pgharness: pg_metadata = '{target}' (ini) cannot be loaded: {reason}\n"
        'To fix this: give --pg-metadata=MODULE:ATTRIBUTE, for example "app.models:Base.metadata"'
    )


def test_metadata_without_tables(tmp_path: Path, server: Server, database: str) -> None:
    write(tmp_path, "shop_none.py", "from sqlalchemy import MetaData\nmetadata = MetaData()\n")

    assert message(tmp_path, server, database, metadata="shop_none:metadata") == (
        "pgharness: pg_metadata = 'shop_none:metadata' (ini) knows no table.\n"
        "Tables are known once the modules that define the models have been imported.\n"
        "To fix this: name a module that imports all models"
    )


def test_a_module_that_raises_when_imported(tmp_path: Path, server: Server, database: str) -> None:
    write(tmp_path, "shop_raises.py", "import shop_is_not_installed\n")

    assert message(tmp_path, server, database, metadata="shop_raises:metadata") == (
        "pgharness: shop_raises.py raised ModuleNotFoundError: No module named 'shop_is_not_installed'\n"
        "The last calls were:\n"
        "  shop_raises.py, line 1, in <module>: import shop_is_not_installed\n"
        "To fix this, either:\n"
        "  - if settings are missing, give them in pg_env, one NAME=TEMPLATE a line\n"
        "  - if the code is wrong, mend it; it ran in a process of its own, as by `alembic upgrade head`"
    )


def test_create_all_that_fails(tmp_path: Path, server: Server, database: str) -> None:
    write(
        tmp_path,
        "shop_type.py",
        "from sqlalchemy import Column, MetaData, Table\n"
        "from sqlalchemy.types import UserDefinedType\n"
        "class Box(UserDefinedType):\n"
        "    def get_col_spec(self, **kw): return 'nobox'\n"
        "metadata = MetaData()\nTable('boxes', metadata, Column('b', Box()))\n",
    )

    found = message(tmp_path, server, database, metadata="shop_type:metadata").splitlines()

    assert found[:2] == [
        'pgharness: create_all of shop_type:metadata raised type "nobox" does not exist',
        "SQL: CREATE TABLE boxes ( b nobox )",
    ]


def test_files_run_in_their_order_each_in_a_session_of_its_own(
    tmp_path: Path, server: Server, database: str
) -> None:
    write(
        tmp_path,
        "z.sql",
        "SELECT set_config('search_path', '', false);\nCREATE TABLE public.users (id int);\n",
    )
    write(
        tmp_path,
        "a.sql",
        """
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.id := 1; RETURN NEW; END;
        $$;
        CREATE TRIGGER touch BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE INDEX CONCURRENTLY ix ON users (id);
        BEGIN; INSERT INTO users VALUES (5); COMMIT;
        """,
    )

    apply(tmp_path, server, database, sql=["z.sql", "a.sql"])

    assert fetch(server.address, database, "SELECT id FROM users") == [(1,)]


def test_a_statement_that_fails(tmp_path: Path, server: Server, database: str) -> None:
    write(tmp_path, "db/shop.sql", "CREATE TABLE a ();\n\nCREATE TABLE b (\n  id int,\n  c nope\n);\n")

    assert message(tmp_path, server, database, sql=["db/shop.sql"]) == (
        'pgharness: db/shop.sql, line 5, failed: type "nope" does not exist\n'
        "SQL: CREATE TABLE b ( id int, c nope )\n"
        "To fix this: mend db/shop.sql"
    )


def test_a_long_statement_is_cut(tmp_path: Path, server: Server, database: str) -> None:
    write(tmp_path, "a.sql", "INSERT INTO nowhere VALUES " + ", ".join(["(1)"] * 500))

    found = message(tmp_path, server, database, sql=["a.sql"])

    assert len(found) < 700
    assert "(1), ...\n" in found or " ...\n" in found


def test_a_file_that_is_not_there(tmp_path: Path, server: Server, database: str) -> None:
    found = message(tmp_path, server, database, sql=["gone.sql"])

    assert found.splitlines()[0] == "pgharness: pg_sql names 'gone.sql' (ini), which is not a file."


def test_a_command_of_psql(tmp_path: Path, server: Server, database: str) -> None:
    write(tmp_path, "a.sql", "CREATE TABLE a ();\n\\i b.sql\n")

    assert message(tmp_path, server, database, sql=["a.sql"]) == (
        "pgharness: a.sql, line 2: '\\\\i b.sql' is a command of psql, not SQL.\n"
        "The files of pg_sql are sent to the server as they are.\n"
        "To fix this, either:\n"
        "  - write it as SQL; a dump needs `pg_dump --inserts`\n"
        "  - list the files that \\i names in pg_sql, in their order"
    )
    assert tables(server.address, database) == set()


def test_an_extension_that_is_not_installed(tmp_path: Path, server: Server, database: str) -> None:
    count = fetch(server.address, database, "SELECT count(*) FROM pg_available_extensions")[0][0]

    assert message(tmp_path, server, database, extensions=["citex"]) == (
        "pgharness: extension 'citex' is not installed on this server; did you mean 'citext'?\n"
        "Checked:\n"
        f"  - the {count} extensions available to PostgreSQL {server.version}\n"
        "To fix this, either:\n"
        "  - take a server that has it: --pg-image=IMAGE for a container, --pg-bin=DIR for local binaries\n"
        "  - install PostgreSQL's contrib package beside the server\n"
        "  - remove it from pg_extensions"
    )


def test_an_extension_that_the_role_may_not_create(tmp_path: Path, server: Server, database: str) -> None:
    execute(server.address, "postgres", "CREATE ROLE ann LOGIN PASSWORD 'p%w@rd'")
    ann = dataclasses.replace(server.address, user="ann", password="p%w@rd")

    with pytest.raises(SchemaError) as caught:
        find(configure(tmp_path, extensions=["file_fdw"])).apply(ann, database)

    assert str(caught.value) == (
        "pgharness: extension 'file_fdw' cannot be created: "
        'permission denied to create extension "file_fdw" '
        "(Must be superuser to create this extension.)\n"
        "To fix this, either:\n"
        "  - give --pg-url the address of a role that may create it\n"
        "  - remove it from pg_extensions"
    )


def test_a_password_of_any_characters(tmp_path: Path, server: Server, database: str) -> None:
    execute(
        server.address,
        "postgres",
        "CREATE ROLE bob LOGIN SUPERUSER PASSWORD 'p%(w)s@r:d/%41'",
    )
    bob = dataclasses.replace(server.address, user="bob", password="p%(w)s@r:d/%41")

    find(configure(alembic_project(tmp_path, env=ASYNC_ENV))).apply(bob, database)

    assert "public.users" in tables(server.address, database)
