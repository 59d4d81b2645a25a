"""Clients of every kind share one transaction through the proxy, and nothing stays."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import asyncpg
import psycopg
import psycopg2
import psycopg_pool
import pytest

from pgharness.proxy.core import wire
from tests.support.proxied import Bare, Beside, Proxied

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])

_CHILD = """
import psycopg, sys
with psycopg.connect(sys.argv[1]) as connection:
    print(connection.execute("SELECT count(*) FROM t").fetchone()[0])
    connection.execute("INSERT INTO t VALUES (7)")
"""

_ALL = "SELECT string_agg(x::text, ' ' ORDER BY x) FROM t"


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


async def test_every_driver_sees_what_the_others_have_committed(
    proxied: Proxied, direct: psycopg.Connection[Any]
) -> None:
    with proxied.test():
        connection = await asyncpg.connect(proxied.url)
        await connection.execute("INSERT INTO t VALUES (1)")
        await connection.close()
        async with asyncpg.create_pool(proxied.url, min_size=1, max_size=3) as pool:
            await pool.executemany("INSERT INTO t VALUES ($1)", [(2,), (3,)])
        with psycopg.connect(proxied.url) as one:
            one.execute("INSERT INTO t VALUES (%s)", [4])
        async with await psycopg.AsyncConnection.connect(proxied.url) as two:
            await two.execute("INSERT INTO t VALUES (%s)", [5])
        with psycopg_pool.ConnectionPool(proxied.url, min_size=1) as threads, threads.connection() as three:
            three.execute("INSERT INTO t VALUES (6)")
        child = await asyncio.to_thread(_run, sys.executable, "-c", _CHILD, proxied.url)
        four = psycopg2.connect(proxied.url)
        cursor = four.cursor()
        cursor.execute("INSERT INTO t VALUES (8)")
        four.commit()
        four.close()
        said = await asyncio.to_thread(
            _run, "psql", proxied.url, "-Atc", "INSERT INTO t VALUES (9)", "-c", _ALL
        )

    assert child == "6\n"
    assert said == "INSERT 0 1\n1 2 3 4 5 6 7 8 9\n"
    assert direct.execute("SELECT count(*) FROM t").fetchone() == (0,)


async def test_clients_that_are_open_at_once_are_in_transactions_of_their_own(proxied: Proxied) -> None:
    with proxied.test():
        one = await asyncpg.connect(proxied.url)
        two = psycopg.connect(proxied.url)
        three = psycopg2.connect(proxied.url)
        cursor = three.cursor()
        async with one.transaction():
            await one.execute("INSERT INTO t VALUES (1)")
            with pytest.raises(asyncpg.UniqueViolationError):
                async with one.transaction():
                    await one.execute("INSERT INTO t VALUES (1)")
        two.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            two.execute("INSERT INTO t VALUES (1)")
        two.rollback()
        cursor.execute("SELECT x FROM t")
        seen = cursor.fetchall()
        three.rollback()
        two.close()
        three.close()
        await one.close()

    assert seen == [(1,)]


def test_a_connection_outlives_its_test(proxied: Proxied) -> None:
    with psycopg.connect(proxied.url, autocommit=True, prepare_threshold=0) as connection:
        seen = []
        for name in ("test_x", "test_y", "test_z"):
            with proxied.test(name):
                connection.execute("INSERT INTO t VALUES (%s)", [1])
                seen.append(connection.execute("SELECT x FROM t WHERE x > %s", [0]).fetchall())

    assert seen == [[(1,)]] * 3


def test_a_flush_without_a_sync_holds_nobody_up(proxied: Proxied) -> None:
    with proxied.test():
        flushed, other = Bare(proxied), Bare(proxied)
        flushed.send(wire.parse(b"", b"SELECT 5\0\0\0") + wire.FLUSH)
        flushed.expect(b"1")

        said = Beside(lambda: other.query("SELECT 6")).answer(3)

        flushed.send(wire.SYNC)
        rest = flushed.answer()
        flushed.close()
        other.close()
    assert (said, rest) == (["6", "SELECT 1"], [])


async def test_two_hundred_clients_are_served_in_turn(proxied: Proxied) -> None:
    with proxied.test():
        clients = [await asyncpg.connect(proxied.url) for _ in range(200)]
        for client in clients:
            await client.execute("BEGIN")
        for number, client in enumerate(clients):
            await client.execute("INSERT INTO t VALUES ($1)", number)
        for client in reversed(clients):
            await client.execute("COMMIT")
        count = await clients[0].fetchval("SELECT count(*) FROM t")
        for client in clients:
            await client.close()

    assert count == 200
    assert proxied.descriptors() < 40


def test_a_client_without_a_name_is_given_none(proxied: Proxied) -> None:
    with proxied.test(), psycopg.connect(proxied.url, autocommit=True) as connection:
        connection.execute("SET app.x = '1'")
        connection.execute("SET DateStyle = 'German'")

        assert connection.info.parameter_status("application_name") == ""
        assert connection.info.parameter_status("DateStyle") == "German, DMY"


def test_parameters_at_the_start_are_those_of_one_client(proxied: Proxied) -> None:
    options = "-c work_mem=6MB -c statement_timeout=5000 -c search_path=pg_catalog -c app.x=1"
    shown = "SELECT current_setting(n, true) FROM unnest(%s::text[]) WITH ORDINALITY AS u (n, o) ORDER BY o"
    names = ["work_mem", "statement_timeout", "search_path", "app.x", "lock_timeout"]
    with proxied.test():
        with psycopg.connect(proxied.direct_url, options=options) as alone:
            expected = alone.execute(shown, [names]).fetchall()
        with psycopg.connect(proxied.direct_url) as alone:
            plain = alone.execute(shown, [names]).fetchall()
        one = psycopg.connect(proxied.url, options=options, autocommit=True)
        two = psycopg.connect(proxied.url, autocommit=True)

        found = [client.execute(shown, [names]).fetchall() for client in (one, two, one)]
        one.execute("SET work_mem = '7MB'")
        after = two.execute(shown, [names]).fetchall()

        one.close()
        two.close()

    assert [values[:4] for values in found] == [expected[:4], [*plain[:3], *found[1][3:4]], expected[:4]]
    assert found[1][3][0] in (None, "")
    assert after == found[1]
    assert found[1][4] == ("10s",)


def test_a_statement_is_prepared_again_when_its_schema_was_undone(proxied: Proxied) -> None:
    query = "SELECT * FROM u WHERE a > %s"
    with psycopg.connect(proxied.url, autocommit=True, prepare_threshold=0) as connection:
        found = []
        for columns in ("a int, b text DEFAULT 'x'", "a int, b int DEFAULT 5, c int DEFAULT 6"):
            with proxied.test():
                connection.execute(f"CREATE TABLE u ({columns})")
                connection.execute("INSERT INTO u (a) VALUES (1)")
                found.append(connection.execute(query, [0]).fetchall())
            with proxied.test(), pytest.raises(psycopg.errors.UndefinedTable):
                connection.execute(query, [0])

    assert found == [[(1, "x")], [(1, 5, 6)]]


async def test_a_read_that_is_sent_again_may_fail_again(proxied: Proxied) -> None:
    share = "SELECT 10 / (x - 1) FROM t WHERE x = $1"
    with proxied.test():
        one, two = await asyncpg.connect(proxied.url), await asyncpg.connect(proxied.url)
        await two.execute("INSERT INTO t VALUES (1), (2)")
        for _ in range(3):
            assert await one.fetchval(share, 2) == 10
            with pytest.raises(asyncpg.DivisionByZeroError):
                await one.fetchval(share, 1)
            assert await two.fetchval("SELECT count(*) FROM t") == 2
        for _ in range(2):
            transaction = one.transaction()
            await transaction.start()
            await one.execute("INSERT INTO t VALUES (3)")
            with pytest.raises(asyncpg.DivisionByZeroError):
                await one.fetchval(share, 1)
            await transaction.rollback()
            assert await two.fetchval("SELECT count(*) FROM t") == 2
        await one.close()
        await two.close()
