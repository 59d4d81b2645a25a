"""What a migration run that fails says, word for word."""

from __future__ import annotations

import errno
import textwrap
from pathlib import Path

import pytest

from pgharness.server.base import Server
from tests.support.schema_projects import (
    ASYNC_ENV,
    CREATE_USERS,
    SYNC_ENV,
    alembic_project,
    execute,
    message,
    migration,
    tables,
    write,
)

NAME = "pgh_schema_test"
A1 = migration("a1", None, CREATE_USERS)
TELL = (
    "To fix this, either:\n"
    '  - set the variable the application reads: pg_env = ["DATABASE_URL={asyncpg_url}"]\n'
    '  - read the address in env.py: config.get_main_option("sqlalchemy.url")'
)


pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV])
def test_a_failing_migration(tmp_path: Path, server: Server, database: str, env: str) -> None:
    body = 'op.execute("""\n  INSERT INTO users\n  SELECT 1 UNION ALL SELECT 1\n""")'
    project = alembic_project(
        tmp_path, env=env, migrations={"a1.py": A1, "b1_fill.py": migration("b1", "a1", body, "fill users")}
    )

    assert message(project, server, database) == (
        "pgharness: migration b1 'fill users' (migrations/versions/b1_fill.py, line 13) failed: "
        'duplicate key value violates unique constraint "users_pkey" (Key (id)=(1) already exists.)\n'
        "SQL: INSERT INTO users SELECT 1 UNION ALL SELECT 1\n"
        "To fix this: mend migrations/versions/b1_fill.py; "
        "`alembic upgrade head` on an empty database fails in the same way"
    )


def test_a_migration_that_raises_of_itself(tmp_path: Path, server: Server, database: str) -> None:
    helper = "def lookup():\n    return {}['missing']\n"
    write(tmp_path, "migrations/helper_of_b1.py", helper)
    body = "import sys; sys.path.insert(0, 'migrations')\nimport helper_of_b1\nhelper_of_b1.lookup()"
    project = alembic_project(tmp_path, migrations={"b1.py": migration("b1", None, body, "")})

    assert message(project, server, database) == (
        "pgharness: migration b1 'Revision ID: b1' (migrations/versions/b1.py, line 15) failed: "
        "KeyError: 'missing'\n"
        "To fix this: mend migrations/versions/b1.py; "
        "`alembic upgrade head` on an empty database fails in the same way"
    )


def test_a_migration_that_cannot_be_read(tmp_path: Path, server: Server, database: str) -> None:
    project = alembic_project(tmp_path, migrations={"a1.py": "revision = 'a1'\ndef upgrade(:\n"})

    assert message(project, server, database) == (
        "pgharness: migration a1 (migrations/versions/a1.py, line 2) failed: "
        "SyntaxError: invalid syntax (a1.py, line 2)\n"
        "To fix this: mend migrations/versions/a1.py; "
        "`alembic upgrade head` on an empty database fails in the same way"
    )


def test_two_heads(tmp_path: Path, server: Server, database: str) -> None:
    project = alembic_project(
        tmp_path,
        migrations={
            "a1.py": A1,
            "b2.py": migration("b2", "a1", "pass"),
            "b1.py": migration("b1", "a1", "pass"),
        },
    )

    assert message(project, server, database) == (
        "pgharness: the migrations of alembic.ini have 2 heads: b1, b2.\n"
        "Two migrations follow the same one, so `alembic upgrade head` does not know which is meant.\n"
        "To fix this, either:\n"
        "  - join them with `alembic merge heads`\n"
        "  - make one follow the other by its down_revision"
    )
    assert tables(server.address, database) == set()


def test_a_migration_after_one_that_is_not_there(tmp_path: Path, server: Server, database: str) -> None:
    project = alembic_project(tmp_path, migrations={"b1.py": migration("b1", "gone", "pass")})

    assert message(project, server, database) == (
        "pgharness: Alembic cannot upgrade by alembic.ini: a migration follows 'gone', which is not there.\n"
        "To fix this: run `alembic upgrade head` on an empty database: it says the same"
    )


def test_a_dump_at_a_revision_that_is_not_there(tmp_path: Path, server: Server, database: str) -> None:
    dump = "CREATE TABLE alembic_version AS SELECT 'z9'::text AS version_num"
    write(tmp_path, "a.sql", dump)

    assert message(alembic_project(tmp_path), server, database, sql=["a.sql"]) == (
        "pgharness: Alembic cannot upgrade by alembic.ini: Can't locate revision identified by 'z9'\n"
        "To fix this: run `alembic upgrade head` on an empty database: it says the same"
    )


def test_an_env_py_that_raises(tmp_path: Path, server: Server, database: str) -> None:
    write(
        tmp_path, "shop_needs.py", "import os\n\ndef read():\n    return os.environ['SHOP_SECRET_KEY_42']\n"
    )
    env = "import shop_needs\n\nshop_needs.read()\n"

    assert message(alembic_project(tmp_path, env=env), server, database) == (
        "pgharness: shop_needs.py raised KeyError: 'SHOP_SECRET_KEY_42'\n"
        "The last calls were:\n"
        "  migrations/env.py, line 3, in <module>: shop_needs.read()\n"
        "  shop_needs.py, line 4, in read: return os.environ['SHOP_SECRET_KEY_42']\n"
        "To fix this, either:\n"
        "  - if settings are missing, give them in pg_env, one NAME=TEMPLATE a line\n"
        "  - if the code is wrong, mend it; it ran in a process of its own, as by `alembic upgrade head`"
    )


def test_an_env_py_whose_sql_fails(tmp_path: Path, server: Server, database: str) -> None:
    env = SYNC_ENV.replace(
        "        context.configure(",
        '        connection.exec_driver_sql("SELECT * FROM tenants")\n        context.configure(',
    )

    assert message(alembic_project(tmp_path, env=env), server, database) == (
        'pgharness: migrations/env.py raised relation "tenants" does not exist\n'
        "The last calls were:\n"
        '  migrations/env.py, line 7, in <module>: connection.exec_driver_sql("SELECT * FROM tenants")\n'
        "SQL: SELECT * FROM tenants\n"
        "To fix this, either:\n"
        "  - if settings are missing, give them in pg_env, one NAME=TEMPLATE a line\n"
        "  - if the code is wrong, mend it; it ran in a process of its own, as by `alembic upgrade head`"
    )


def test_a_password_in_the_project_s_own_message_is_not_shown(
    tmp_path: Path, server: Server, database: str
) -> None:
    env = "from alembic import context\nraise RuntimeError(context.config.attributes['pgharness_url'])\n"

    found = message(alembic_project(tmp_path, env=env), server, database)

    assert found.splitlines()[0] == (
        "pgharness: migrations/env.py raised RuntimeError: "
        f"postgresql+psycopg://postgres:***@127.0.0.1:{server.address.port}/{NAME}"
    )


def test_an_env_py_that_exits(tmp_path: Path, server: Server, database: str) -> None:
    env = "import sys\nsys.exit('no database configured')\n"

    found = message(alembic_project(tmp_path, env=env), server, database)

    assert found.splitlines()[0] == "pgharness: migrations/env.py raised SystemExit: no database configured"


def test_a_process_that_dies(tmp_path: Path, server: Server, database: str) -> None:
    env = "import os\nprint('last words', flush=True)\nos._exit(3)\n"

    assert message(alembic_project(tmp_path, env=env), server, database) == (
        "pgharness: the process that runs alembic.ini ended with code 3 and no result.\n"
        "Its last output was:\n"
        "  last words\n"
        "To fix this: run `alembic upgrade head` on an empty database to see it alone"
    )


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_another_database_is_refused_before_anything_happens_to_it(
    tmp_path: Path, server: Server, database: str, driver: str
) -> None:
    execute(server.address, "postgres", "CREATE DATABASE development")
    url = server.address.url("development").replace("postgresql", f"postgresql+{driver}")
    env = {"psycopg": SYNC_ENV, "asyncpg": ASYNC_ENV}[driver].replace(
        "config = context.config",
        f"config = context.config\n    config.set_main_option('sqlalchemy.url', {url!r}.replace('%', '%%'))",
    )

    try:
        found = message(
            alembic_project(tmp_path, env=env), server, database, env=["SHOP_URL={url}", "X={host}"]
        )

        assert found == (
            f"pgharness: the schema's code wanted to connect to "
            f"development on 127.0.0.1:{server.address.port}, "
            f"not to {NAME} on 127.0.0.1:{server.address.port}; it was not let.\n"
            "It takes its address from somewhere the harness does not set.\n"
            "Checked:\n"
            "  - pg_env sets SHOP_URL, X\n"
            "  - env.py is given sqlalchemy.url and config.attributes['pgharness_url']\n" + TELL
        )
        assert tables(server.address, "development") == set()
    finally:
        execute(server.address, "postgres", "DROP DATABASE development")


def test_migrations_that_left_the_database_empty(tmp_path: Path, server: Server, database: str) -> None:
    env = SYNC_ENV.replace("with context.begin_transaction():", "if True:").replace(
        "context.configure(connection=connection)",
        "connection.begin(); context.configure(connection=connection)",
    )

    assert message(alembic_project(tmp_path, env=env), server, database) == (
        f"pgharness: the migrations of alembic.ini ran, but left "
        f"{NAME} on 127.0.0.1:{server.address.port} empty.\n"
        "They ran on another database, or were not committed.\n"
        "Checked:\n"
        f"  - connections made: {NAME} on 127.0.0.1:{server.address.port}\n"
        "  - pg_env sets nothing\n"
        "  - env.py is given sqlalchemy.url and config.attributes['pgharness_url']\n" + TELL
    )


def test_migrations_that_ran_on_something_else(tmp_path: Path, server: Server, database: str) -> None:
    env = """
        from alembic import context
        from sqlalchemy import create_engine

        with create_engine("sqlite://").connect() as connection:
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()
    """

    found = message(alembic_project(tmp_path, env=env), server, database)

    assert "  - no connection was made through SQLAlchemy\n" in found


PARTS_ENV = ASYNC_ENV.replace(
    'async_engine_from_config(config.get_section("alembic"), poolclass=pool.NullPool)',
    'create_async_engine(URL.create("postgresql+asyncpg", **PARTS), poolclass=pool.NullPool)',
).replace("async_engine_from_config", "create_async_engine")
SET_EVERY_PART = (
    '  - set every part the application reads: pg_env = ["DB_HOST={host}", "DB_PORT={port}", '
    '"DB_USER={user}", "DB_PASSWORD={password}", "DB_NAME={database}"]\n'
)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"host": "127.0.0.1", "port": 1},
            f"ConnectionRefusedError: [Errno {errno.ECONNREFUSED}] Connect call failed ('127.0.0.1', 1)",
        ),
        ({"username": "nobody"}, 'password authentication failed for user "nobody"'),
    ],
)
def test_an_address_of_which_only_parts_were_set(
    tmp_path: Path, server: Server, database: str, wrong: dict[str, object], said: str
) -> None:
    address = server.address
    right = {"host": address.host, "port": address.port, "username": address.user, "database": database}
    parts = {**right, "password": address.password, **wrong}
    env = f"from sqlalchemy import URL\n\nPARTS = {parts!r}\n" + textwrap.dedent(PARTS_ENV)

    found = message(alembic_project(tmp_path, env=env), server, database, env=["DB_NAME={database}"])

    assert found == (
        "pgharness: the schema's code could not connect to "
        f"{NAME} on {parts['host']}:{parts['port']}: {said}\n"
        f"The database is {NAME} on {address.host}:{address.port}; "
        "a part of the address (host, port, user or password) comes from somewhere the harness does not "
        "set.\n"
        "Checked:\n"
        "  - pg_env sets DB_NAME\n"
        "  - env.py is given sqlalchemy.url and config.attributes['pgharness_url']\n"
        + TELL.replace("either:\n", "either:\n" + SET_EVERY_PART)
    )
