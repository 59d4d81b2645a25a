"""A project whose fixtures of every scope write with every driver, and whose tests see exactly that.

``LIVE`` holds the rows of the fixtures that are set up; what a test finds in the table is compared with it.
"""

from __future__ import annotations

from tests.support.project import Project, Result

IN_ORDER = ("-p", "no:randomly")

INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = session
pythonpath = .
pg_sql = schema.sql
pg_env = DATABASE_URL={url}
pg_reset_sequences = on
"""
SCHEMA = """
CREATE TABLE item (
    id serial PRIMARY KEY, name text UNIQUE,
    at timestamptz DEFAULT clock_timestamp(), u uuid DEFAULT gen_random_uuid()
);
"""
HELPERS = """
import contextlib, os
import asyncpg, psycopg, psycopg2, pytest, pytest_asyncio
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

URL = os.environ["DATABASE_URL"]
engine = create_engine(URL.replace("postgresql:", "postgresql+psycopg2:"))
async_engine = create_async_engine(URL.replace("postgresql:", "postgresql+asyncpg:"))
INSERT = "INSERT INTO item (name) VALUES ('{}') RETURNING id, at, u"
LIVE = {}

def by_psycopg(sql):
    with psycopg.connect(URL) as connection:
        return connection.execute(sql).fetchone()

def by_psycopg2(sql):
    with contextlib.closing(psycopg2.connect(URL)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()

def by_engine(sql):
    with engine.begin() as connection:
        return connection.execute(text(sql)).first()

def by_session(sql):
    with Session(engine) as session:
        found = session.execute(text(sql)).first()
        session.commit()
        return found

async def by_asyncpg(sql):
    connection = await asyncpg.connect(URL)
    try:
        return await connection.fetchrow(sql)
    finally:
        await connection.close()

async def by_async_engine(sql):
    async with async_engine.begin() as connection:
        return (await connection.execute(text(sql))).first()

DRIVERS = {f.__name__: f for f in (by_psycopg, by_psycopg2, by_engine, by_session)}
ASYNC_DRIVERS = {f.__name__: f for f in (by_asyncpg, by_async_engine)}

def insert(name):
    return by_psycopg(INSERT.format(name))

def note(name, row):
    id, at, u = row
    LIVE[name] = id, at, str(u)

def begin(name):
    note(name, insert(name))

def end(name):
    assert items()[name] == LIVE.pop(name)

def items():
    with psycopg.connect(URL) as connection:
        return {n: (i, a, str(u)) for n, i, a, u in connection.execute("SELECT name, id, at, u FROM item")}

def autocommit():
    return psycopg.connect(URL, autocommit=True)

def vacuum():
    with autocommit() as connection:
        connection.execute("VACUUM item")

def vacuum_in_second_attempt():
    if os.environ["ISOLATION"] != "rollback":
        vacuum()

def made_by(driver, scope, name="", **options):
    \"\"\"A fixture that writes one row with ``driver``, and finds it when it is torn down.\"\"\"
    name = name or f"{scope}_{driver}"

    def made():
        note(name, DRIVERS[driver](INSERT.format(name)))
        yield LIVE[name]
        end(name)

    async def made_async():
        note(name, await ASYNC_DRIVERS[driver](INSERT.format(name)))
        yield LIVE[name]
        end(name)

    if driver in DRIVERS:
        return pytest.fixture(made, scope=scope, name=name)
    return pytest_asyncio.fixture(made_async, scope=scope, name=name, loop_scope="session")

def fixtures_of(scope):
    return {f"{scope}_{driver}": made_by(driver, scope) for driver in (*DRIVERS, *ASYNC_DRIVERS)}

def uses(*scopes):
    names = [f"{scope}_{driver}" for scope in scopes for driver in (*DRIVERS, *ASYNC_DRIVERS)]
    return pytest.mark.usefixtures("pg_database", *names)

def check(*names):
    \"\"\"What the fixtures have made is there, and nothing else; the test adds a row, and leaves it.\"\"\"
    assert set(names) <= set(LIVE), LIVE
    assert items() == LIVE
    id, last = insert("of a test")[0], max((id for id, *_ in LIVE.values()), default=0)
    assert id == last + 1, f"{id} comes after {last}"
    assert set(items()) == {*LIVE, "of a test"}
"""


def write_into(adopter: Project, **tests: str) -> Project:
    """Make ``adopter`` such a project; ``tests`` are its modules, ``conftest`` among them."""
    for name, text in {"pytest.ini": INI, "schema.sql": SCHEMA, "helpers.py": HELPERS}.items():
        adopter.write(name, text)
    for name, text in tests.items():
        adopter.write(f"{name}.py", f"from helpers import *\n{text}")
    return adopter


def run_one(adopter: Project, conftest: str, tests: str, *options: str) -> Result:
    """Run the module ``test_it.py``, in its order."""
    return write_into(adopter, conftest=conftest, test_it=tests).pytest(*IN_ORDER, *options, ISOLATION="auto")


def said(result: Result) -> list[str]:
    """The errors of the harness that a run has shown, each as it reads."""
    found: list[list[str]] = [[]]
    indent = 0
    for line in result.lines:
        before, sign, begins = line.partition("pgharness.errors.IsolationError: pgharness: ")
        if sign and before.startswith("E "):
            found.append([begins])
            indent = len(before)
        elif not line.startswith("E "):
            found.append([])
        elif found[-1]:
            found[-1].append(line[indent:])
    return ["\n".join(lines) for lines in found if lines]
