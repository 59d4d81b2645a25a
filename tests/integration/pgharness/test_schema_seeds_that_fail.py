"""What is said of a seed that fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgharness.errors import SchemaError
from pgharness.server.base import Server
from tests.support.project import Project
from tests.support.schema_projects import (
    fetch,
    write,
)
from tests.support.seed_projects import NOTES, seed_project, seeded

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return seed_project(tmp_path)


def message(root: Path, server: Server, database: str, *seeds: str, **options: object) -> str:
    with pytest.raises(SchemaError) as caught:
        seeded(root, server, database, *seeds, **options)
    assert server.address.password not in str(caught.value)
    return str(caught.value)


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
