"""now() in the database follows the tests' clock, and moves on with each transaction (pg_clock)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from freezegun import freeze_time
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.errors import SchemaError
from pgharness.fixtures import Database
from pgharness.schema import clock
from pgharness.server.base import Address
from tests.integration.pgharness.conftest import MakeProject
from tests.support.joined import Joined

TABLE = """
CREATE TABLE stamped (
    id int GENERATED ALWAYS AS IDENTITY,
    called timestamptz DEFAULT now(),
    keyword timestamptz DEFAULT CURRENT_TIMESTAMP,
    day date DEFAULT CURRENT_DATE,
    naive timestamp DEFAULT timezone('utc', now())
)
"""
INSERT = text("INSERT INTO stamped DEFAULT VALUES RETURNING called, keyword, day, naive")
NOW = text("SELECT now()")
DAY = dt.datetime(2020, 2, 29, 12, tzinfo=dt.UTC)
STAMPED = (DAY, DAY, DAY.date(), DAY.replace(tzinfo=None))


def address_of(url: str) -> Address:
    parts = urlsplit(url)
    return Address(
        parts.hostname or "", parts.port or 5432, unquote(parts.username or ""), unquote(parts.password or "")
    )


@pytest.fixture
def joined(pg_empty_database: Database, server_address: Address) -> Iterator[Joined]:
    with psycopg.connect(pg_empty_database.url) as connection:
        connection.execute(TABLE)
    clock.install(server_address, pg_empty_database.name)
    made = Joined(server_address, pg_empty_database.name, clock="on")
    yield made
    made.close()


def test_psycopg_follows_freezegun(joined: Joined, engine: Engine) -> None:
    with joined.test():
        with freeze_time(DAY) as frozen:
            with engine.begin() as connection:
                assert tuple(connection.execute(INSERT).one()) == STAMPED
            frozen.tick(60)
            with engine.connect() as connection:
                assert connection.execute(NOW).scalar() == DAY + dt.timedelta(minutes=1)
                frozen.tick(60)
                assert connection.execute(NOW).scalar() == DAY + dt.timedelta(minutes=1)
        with engine.connect() as connection:
            assert connection.execute(NOW).scalar_one() - dt.datetime.now(dt.UTC) < dt.timedelta(minutes=1)


async def test_asyncpg_follows_freezegun(joined: Joined, async_engine: AsyncEngine) -> None:
    with joined.test(), freeze_time(DAY, real_asyncio=True):
        async with async_engine.begin() as connection:
            assert tuple((await connection.execute(INSERT)).one()) == STAMPED
        autocommit = async_engine.execution_options(isolation_level="AUTOCOMMIT")
        async with autocommit.connect() as connection:
            assert (await connection.execute(NOW)).scalar() == DAY


async def test_it_moves_on_between_transactions_that_overlap(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    with joined.test():
        async with async_engine.connect() as one, async_engine.connect() as other:
            seen = [(await each.execute(NOW)).scalar_one() for each in (one, other, one, other)]

    assert seen[:2] == seen[2:]
    assert seen[0] < seen[1]


def test_real_connections_follow_as_well(joined: Joined, engine: Engine) -> None:
    joined.control.tell("begin", test="test_x", isolation="database", database=joined.name)
    joined.worker.places.begin("test_x", "database")
    with freeze_time(DAY), engine.begin() as connection:
        assert tuple(connection.execute(INSERT).one()) == STAMPED
    with engine.connect() as connection:
        assert connection.execute(text("SELECT now() = transaction_timestamp()")).scalar() is True


def test_only_a_superuser_may(pg_empty_database: Database) -> None:
    address = address_of(pg_empty_database.url)
    role = f"{pg_empty_database.name}_plain"
    with psycopg.connect(pg_empty_database.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        with pytest.raises(SchemaError) as raised:
            clock.install(Address(address.host, address.port, role, "x"), pg_empty_database.name)
    finally:
        with psycopg.connect(pg_empty_database.url, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}")

    assert str(raised.value) == (
        "pgharness: now() in the template could not be replaced: permission denied for schema pg_catalog\n"
        "pg_clock = on replaces a function of PostgreSQL itself, which only a superuser may.\n"
        "To fix this, either:\n"
        f'  - as a superuser: ALTER ROLE "{role}" SUPERUSER\n'
        "  - pg_clock = off"
    )


PROJECT = """
import datetime as dt
from freezegun import freeze_time
from sqlalchemy import text

@freeze_time("2020-02-29 12:00", real_asyncio=True)
async def test_the_database_is_frozen_with_the_test(db_session):
    now = (await db_session.execute(text("SELECT now()"))).scalar()
    assert now == dt.datetime(2020, 2, 29, 12, tzinfo=dt.UTC)
"""


def test_one_option_switches_it_off(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write("tests/api/test_time.py", PROJECT)

    assert adopter.pytest("tests/api/test_time.py").code == 0
    assert adopter.pytest("tests/api/test_time.py", "--pg-clock=off").code == 1
