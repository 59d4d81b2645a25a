"""Code that needs what an init script makes where it usually runs says what to do, and that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgharness.server.base import Server
from tests.support.schema_projects import (
    ASYNC_ENV,
    SYNC_ENV,
    alembic_project,
    apply,
    message,
    migration,
    write,
)

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server

BY_FILE = '  - if it is made beforehand, as by an init script: pg_sql = ["FILE.sql"], with what makes it'
BY_PG_TRGM = '  - if an extension brings it: pg_extensions = ["pg_trgm"]'
MODELS = """
    from sqlalchemy import Column, MetaData, Table, func
    from sqlalchemy.types import REAL

    metadata = MetaData()
    Table("words", metadata, Column("near", REAL, server_default=func.similarity("a", "b")))
"""


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV])
def test_migrations_into_a_schema_that_they_do_not_make(
    tmp_path: Path, server: Server, database: str, env: str
) -> None:
    body = 'op.create_table("users", sa.Column("id", sa.Integer), schema="board")'
    project = alembic_project(tmp_path, env=env, migrations={"a1.py": migration("a1", None, body)})
    write(tmp_path, "before.sql", "CREATE SCHEMA board;")

    assert message(project, server, database) == (
        "pgharness: migration a1 'a step' (migrations/versions/a1.py, line 13) failed: "
        'schema "board" does not exist\n'
        "SQL: CREATE TABLE board.users ( id INTEGER )\n"
        "To fix this, either:\n"
        "  - mend migrations/versions/a1.py; "
        "`alembic upgrade head` on an empty database fails in the same way\n"
        f"{BY_FILE}"
    )
    assert "board.users" in apply(project, server, database, sql=["before.sql"])


@pytest.mark.parametrize("env", [SYNC_ENV, ASYNC_ENV])
def test_migrations_that_use_an_extension(tmp_path: Path, server: Server, database: str, env: str) -> None:
    body = """op.execute("CREATE TABLE words AS SELECT similarity('a', 'b')")"""
    project = alembic_project(tmp_path, env=env, migrations={"a1.py": migration("a1", None, body)})

    assert message(project, server, database).endswith(BY_PG_TRGM)
    assert "public.words" in apply(project, server, database, extensions=["pg_trgm"])


def test_tables_of_pg_metadata_that_use_an_extension(tmp_path: Path, server: Server, database: str) -> None:
    write(tmp_path, "words_models.py", MODELS)

    assert message(tmp_path, server, database, metadata="words_models:metadata").endswith(BY_PG_TRGM)


def test_a_seed_that_uses_an_extension(tmp_path: Path, server: Server, database: str) -> None:
    write(
        tmp_path,
        "words_seeds.py",
        """
        from sqlalchemy import func, select
        def load(session): session.execute(select(func.similarity("a", "b")))
    """,
    )

    assert message(tmp_path, server, database, seed=["words_seeds:load"]).endswith(BY_PG_TRGM)
