"""asyncpg's own interface on a joined connection: as on a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from pgharness.errors import IsolationError
from pgharness.fixtures import Database
from tests.support.joined import Joined


@pytest.fixture
def joined(pg_empty_database: Database) -> Iterator[Joined]:
    made = Joined(pg_empty_database.url)
    yield made
    made.close()


async def test_the_drivers_own_interface(joined: Joined, pg_empty_database: Database) -> None:
    engine = create_async_engine(pg_empty_database.asyncpg_url, poolclass=NullPool)
    with joined.test():
        async with engine.connect() as connection:
            raw = (await connection.get_raw_connection()).driver_connection
            assert raw is not None
            await raw.execute("CREATE TABLE t (x int PRIMARY KEY)")
            await raw.executemany("INSERT INTO t VALUES ($1)", [(1,), (2,)])
            async with raw.transaction():
                await raw.execute("INSERT INTO t VALUES (3)")
                with pytest.raises(asyncpg.UniqueViolationError):
                    async with raw.transaction():
                        await raw.execute("INSERT INTO t VALUES (3)")
                async with raw.transaction():
                    await raw.execute("INSERT INTO t VALUES (4)")
                rows = [row["x"] async for row in raw.cursor("SELECT x FROM t ORDER BY x")]
                cursor = await raw.cursor("SELECT x FROM t ORDER BY x")
                assert [row["x"] for row in await cursor.fetch(2)] == [1, 2]
                assert (await cursor.forward(1), (await cursor.fetchrow())["x"]) == (1, 4)
            await raw.copy_records_to_table("t", records=[(5,)], columns=["x"])
            prepared = await raw.prepare("SELECT x FROM t WHERE x > $1 ORDER BY x")

            assert rows == [1, 2, 3, 4]
            assert [row["x"] for row in await prepared.fetch(3)] == [4, 5]
            assert (await prepared.fetchval(3), (await prepared.fetchrow(4))["x"]) == (4, 5)
            assert (prepared.get_query()[:8], len(prepared.get_parameters())) == ("SELECT x", 1)
            assert (await raw.fetchval("SELECT count(*) FROM t"), raw.is_in_transaction()) == (5, False)
            await raw.execute("BEGIN")
            await raw.execute("DELETE FROM t")
            await raw.execute("ROLLBACK")
            assert (await raw.fetchrow("SELECT max(x) AS x FROM t"))["x"] == 5
            assert [tuple(row) for row in await raw.fetch("SELECT x FROM t WHERE x < 2")] == [(1,)]
            with pytest.raises(IsolationError, match="LISTEN"):
                await raw.add_listener("c", print)
            assert raw.get_server_pid() > 0
            assert not raw.is_closed()
            await raw.reload_schema_state()
