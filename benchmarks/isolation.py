"""What isolating a test costs: pgharness, the bare wire, the usual fixture, and a clone per test.

    python benchmarks/isolation.py [--tests 200] [--rounds 5]

Every suite runs the same number of tests in a pytest of its own, on one server that this script
starts (local binaries, data on tmpfs, durability off); the rounds alternate between the suites.
The figure of a suite is the median time of a test over all rounds, less that of an empty async
test, in milliseconds. Needs pytest-postgresql beside what the tests need.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from common import Suite, Timing, local_server, run

from pgharness.server.base import Server

SCHEMA = "CREATE TABLE IF NOT EXISTS item (id serial PRIMARY KEY, name text UNIQUE)"
INSERT = "INSERT INTO item (name) VALUES ('one')"
ENGINE = """
import os
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
engine = create_async_engine(os.environ["DATABASE_URL"])
"""
HARNESS_INI = """\
pg_url = {url}
pg_env = DATABASE_URL={{asyncpg_url}}
pg_sql = {schema}
"""


def each(count: int, body: str, *, fixture: str = "") -> str:
    """A module of ``count`` equal async tests."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    mark = f"@pytest.mark.parametrize('n', range({count}))"
    return f"import pytest\n{mark}\nasync def test(n{fixture}):\n{lines}\n"


def suites(count: int, url: str, schema: Path) -> list[Suite]:
    harness = HARNESS_INI.format(url=url, schema=schema)
    insert = f'async with engine.begin() as c:\n    await c.execute(text("{INSERT}"))'
    bare = """
import asyncpg, os, pytest, pytest_asyncio
@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def connection():
    made = await asyncpg.connect(os.environ["PLAIN_URL"])
    yield made
    await made.close()
@pytest_asyncio.fixture(loop_scope="session")
async def bare(connection):
    await connection.execute("BEGIN")
    await connection.execute("SAVEPOINT one")
    yield connection
    await connection.execute("RELEASE SAVEPOINT one")
    await connection.execute("ROLLBACK")
"""
    usual = (
        ENGINE
        + """
import pytest_asyncio
@pytest_asyncio.fixture(loop_scope="session")
async def session():
    async with engine.connect() as connection:
        outer = await connection.begin()
        async with AsyncSession(connection, join_transaction_mode="create_savepoint") as made:
            yield made
        await outer.rollback()
"""
    )
    clone = """
import os, pytest
from pytest_postgresql import factories
from urllib.parse import urlsplit
parts = urlsplit(os.environ["PLAIN_URL"])
def load(**connection):
    import psycopg
    with psycopg.connect(**connection) as made:
        made.execute(os.environ["SCHEMA"])
server = factories.postgresql_noproc(host=parts.hostname, port=parts.port, user=parts.username,
    password=parts.password, dbname="clone_per_test", load=[load])
postgresql = factories.postgresql("server")
"""
    return [
        Suite("empty", each(count, "pass"), plugins=("-p", "no:pgharness")),
        Suite("empty, pgharness installed", each(count, "pass")),
        Suite("bare wire", each(count, "pass", fixture=", bare"), bare, plugins=("-p", "no:pgharness")),
        Suite(
            "bare wire, 1 insert",
            each(count, f'await bare.execute("{INSERT}")', fixture=", bare"),
            bare,
            plugins=("-p", "no:pgharness"),
        ),
        Suite(
            "SQLAlchemy alone, 1 rolled back insert",
            ENGINE + each(count, f'async with engine.connect() as c:\n    await c.execute(text("{INSERT}"))'),
            plugins=("-p", "no:pgharness"),
        ),
        Suite("pgharness, no statement", each(count, "pass", fixture=", pg_database"), ini=harness),
        Suite("pgharness, 1 insert", ENGINE + each(count, insert, fixture=", pg_database"), ini=harness),
        Suite(
            "usual fixture, 1 insert",
            "from sqlalchemy import text\n"
            + each(
                count,
                f'await session.execute(text("{INSERT}"))\nawait session.commit()',
                fixture=", session",
            ),
            usual,
            plugins=("-p", "no:pgharness"),
        ),
        Suite(
            "pytest-postgresql, 1 insert",
            each(min(count, 40), f'postgresql.execute("{INSERT}")', fixture=", postgresql").replace(
                "await ", ""
            ),
            clone,
            plugins=("-p", "no:pgharness"),
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with local_server() as server, tempfile.TemporaryDirectory() as name:
        print(f"PostgreSQL {server.version}, {arguments.tests} tests a suite, {arguments.rounds} rounds\n")
        report(measure(server, arguments.tests, arguments.rounds, Path(name)))


def measure(server: Server, count: int, rounds: int, directory: Path) -> dict[str, float]:
    """The median milliseconds of a test, for each suite."""
    schema = directory / "schema.sql"
    schema.write_text(SCHEMA + ";\n")
    plain = server.address.url()
    environment = {"PLAIN_URL": plain, "SCHEMA": SCHEMA, "DATABASE_URL": server.address.url(driver="asyncpg")}
    prepare(plain)
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        for suite in suites(count, plain, schema):
            timing: Timing = run(suite, directory, environment)
            times.setdefault(suite.name, []).extend(timing.times[5:])  # the first pay for connecting
    return {name: statistics.median(found) * 1000 for name, found in times.items()}


def prepare(url: str) -> None:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SCHEMA)


def report(medians: dict[str, float]) -> None:
    empty = medians["empty"]
    wire = medians["bare wire"] - empty
    print(f"{'suite':42} {'ms a test':>10} {'over empty':>11} {'x bare wire':>12}")
    for name, value in medians.items():
        over = value - empty
        print(f"{name:42} {value:10.2f} {over:11.2f} {over / wire:12.1f}")
    isolation = medians["pgharness, 1 insert"] - medians["SQLAlchemy alone, 1 rolled back insert"]
    clone = medians["pytest-postgresql, 1 insert"] - empty
    print(
        f"\nisolation alone (pgharness less SQLAlchemy): {isolation:.2f} ms, "
        f"{isolation / wire:.1f} x the bare wire, 1/{clone / isolation:.0f} of a clone per test"
    )


if __name__ == "__main__":
    main()
