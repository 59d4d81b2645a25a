"""What a database of its own costs a test: pgharness's clones made ahead, and pytest-postgresql's.

    python benchmarks/real_commits.py [--tests 40] [--rounds 3]

Both make a clone for each test from a template with the same tables. pgharness starts its server itself, as
it does for its users; pytest-postgresql gets one of the same kind from this script (local binaries, data on
tmpfs, durability off). *Wait* is what a test waits for its database: the
fixtures and their teardown. *Test* is the whole of it, with what pytest does around. The suites run in
turn; figures are medians over all rounds. Needs pytest-postgresql beside what the tests need.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from common import Suite, Timing, local_server, run
from isolation import each

from pgharness.server.base import Server

INSERT = "INSERT INTO item0 (name) VALUES ('one')"
ENGINE = """
import os
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
engine = create_async_engine(os.environ["DATABASE_URL"])
"""
APP = """
import os
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
engine = create_async_engine(os.environ["DATABASE_URL"])
app = FastAPI()

@app.post("/items")
async def create(name: str) -> int:
    async with engine.begin() as connection:
        sql = text("INSERT INTO item0 (name) VALUES (:name) RETURNING id")
        found = await connection.execute(sql, {"name": name})
        return found.scalar_one()

@app.get("/items")
async def count() -> int:
    async with engine.connect() as connection:
        return (await connection.execute(text("SELECT count(*) FROM item0"))).scalar_one()
"""
REQUESTS = """
for n in range(10):
    assert (await client.post("/items", params={"name": str(n)})).status_code == 200
assert (await client.get("/items")).json() == 10
"""
ONE = f'async with engine.begin() as c:\n    await c.execute(text("{INSERT}"))'
PEER = """
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
PEER_APP = """
import httpx
server_url = os.environ["PLAIN_URL"].rpartition("/")[0]
os.environ["DATABASE_URL"] = server_url.replace("://", "+asyncpg://") + "/clone_per_test"
import served

@pytest.fixture
async def client(postgresql):
    served.engine = served.create_async_engine(os.environ["DATABASE_URL"])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=served.app), base_url="http://x") as made:
        yield made
    await served.engine.dispose()
"""
HARNESS_INI = """\
pg_backend = local
pg_env = DATABASE_URL={{asyncpg_url}}
pg_sql = {schema}
pg_app = served:app
pg_isolation = database
pythonpath = .
"""
OFF = ("-p", "no:pgharness")
SMALL, LARGE = "one INSERT", "ten requests to an app"
OURS, PEERS = "pgharness", "pytest-postgresql"


def suites(count: int, schema: Path) -> dict[tuple[str, str], Suite]:
    """The suites by what a test does and who makes its database."""
    ini = HARNESS_INI.format(schema=schema)
    served = (("served.py", APP),)
    psycopg = each(count, f'postgresql.execute("{INSERT}")\npostgresql.commit()', fixture=", postgresql")
    return {
        ("", "empty"): Suite("empty", each(count, "pass"), plugins=OFF),
        (SMALL, OURS): Suite("1", ENGINE + each(count, ONE, fixture=", pg_database"), ini=ini, files=served),
        (SMALL, PEERS): Suite("2", psycopg, PEER, plugins=OFF),
        (LARGE, OURS): Suite("3", each(count, REQUESTS, fixture=", client"), ini=ini, files=served),
        (LARGE, PEERS): Suite(
            "4",
            each(count, REQUESTS, fixture=", client"),
            PEER + PEER_APP,
            ini="pythonpath = .\n",
            plugins=OFF,
            files=served,
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tables", type=int, default=20)
    arguments = parser.parse_args()
    columns = "(id serial PRIMARY KEY, name text UNIQUE)"
    schema = ";\n".join(f"CREATE TABLE item{n} {columns}" for n in range(arguments.tables)) + ";\n"
    with local_server() as server, tempfile.TemporaryDirectory() as name:
        print(f"PostgreSQL {server.version}, {arguments.tests} tests a suite, {arguments.rounds} rounds")
        print(f"{arguments.tables} tables\n")
        report(measure(server, schema, arguments.tests, arguments.rounds, Path(name)))


def measure(
    server: Server, schema: str, count: int, rounds: int, directory: Path
) -> dict[tuple[str, str], tuple[float, float]]:
    """Median milliseconds of the wait and of the whole test, for each suite."""
    file = directory / "schema.sql"
    file.write_text(schema)
    environment = {"PLAIN_URL": server.address.url(), "SCHEMA": schema}
    waits: dict[tuple[str, str], list[float]] = {}
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for key, suite in suites(count, file).items():
            timing: Timing = run(suite, directory, environment)
            waits.setdefault(key, []).extend(timing.waits[3:])  # the first pay for connecting
            times.setdefault(key, []).extend(timing.times[3:])
    return {
        key: (statistics.median(waits[key]) * 1000, statistics.median(times[key]) * 1000) for key in waits
    }


def report(medians: dict[tuple[str, str], tuple[float, float]]) -> None:
    print(f"{'a test':24} {'database from':20} {'wait, ms':>9} {'test, ms':>9}")
    for (what, who), (wait, whole) in medians.items():
        print(f"{what:24} {who:20} {wait:9.2f} {whole:9.2f}")
    print()
    for what in (SMALL, LARGE):
        (wait, whole), (peer_wait, peer_whole) = medians[what, OURS], medians[what, PEERS]
        print(f"{what}: wait 1/{peer_wait / wait:.1f}, whole test 1/{peer_whole / whole:.1f} of {PEERS}'s")


if __name__ == "__main__":
    main()
