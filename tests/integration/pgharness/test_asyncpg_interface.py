"""asyncpg's own interface in the test's transaction, against the same on a connection of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from pgharness.fixtures import Database
from tests.support.driver_errors import async_error
from tests.support.joined import Joined

Seen = list[Any]


CREATE = "CREATE TABLE t (x int PRIMARY KEY, y text)"


class Row(asyncpg.Record):
    def __getattr__(self, name: str) -> Any:
        return self[name]


async def blocks(raw: Any) -> Seen:
    await raw.execute(CREATE)
    seen: Seen = [raw.is_in_transaction()]
    async with raw.transaction():
        await raw.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(asyncpg.UniqueViolationError):
            async with raw.transaction():
                await raw.execute("INSERT INTO t VALUES (1)")
        seen += [await raw.fetchval("SELECT count(*) FROM t"), raw.is_in_transaction()]
    outer = raw.transaction()
    await outer.start()
    await raw.execute("INSERT INTO t VALUES (2)")
    inner = raw.transaction()
    await inner.start()
    await raw.execute("INSERT INTO t VALUES (3)")
    await inner.commit()
    seen += [await async_error(raw.execute("INSERT INTO t VALUES (1)"))]
    seen += [await async_error(raw.execute("SELECT 1")), await async_error(raw.execute("SAVEPOINT s"))]
    await outer.rollback()
    async with raw.transaction(readonly=True):
        seen += [await async_error(raw.execute("INSERT INTO t VALUES (4)"))]
    return [*seen, await raw.fetch("SELECT x FROM t ORDER BY x"), raw.is_in_transaction()]


async def by_hand(raw: Any) -> Seen:
    await raw.execute(CREATE)
    seen: Seen = [await async_error(raw.execute("SAVEPOINT s"))]
    seen += [await raw.execute("BEGIN"), await raw.execute("INSERT INTO t VALUES (1)")]
    seen += [await raw.execute("SAVEPOINT s"), await raw.execute("INSERT INTO t VALUES (2)")]
    seen += [await raw.execute("ROLLBACK TO SAVEPOINT s"), await raw.execute("RELEASE SAVEPOINT s")]
    seen += [await async_error(raw.execute("SAVEPOINT t")), await async_error(raw.execute("RELEASE t"))]
    seen += [await raw.execute("COMMIT"), await raw.fetchval("SELECT count(*) FROM t")]
    await raw.execute("BEGIN")
    await raw.execute("DELETE FROM t")
    seen += [await async_error(raw.execute("RELEASE SAVEPOINT nowhere")), await raw.execute("ROLLBACK")]
    return [*seen, await raw.fetchval("SELECT count(*) FROM t")]


async def prepared(raw: Any) -> Seen:
    await raw.execute(CREATE)
    insert = await raw.prepare("INSERT INTO t VALUES ($1, $2)")
    await insert.executemany([(n, str(n)) for n in range(4)])
    select = await raw.prepare("SELECT x, y FROM t WHERE x >= $1 ORDER BY x", record_class=Row)
    first = await select.fetchrow(1)
    seen: Seen = [first.y, await select.fetch(2), await select.fetchval(0, column=1), select.get_statusmsg()]
    seen += [[a.name for a in select.get_attributes()], [p.name for p in select.get_parameters()]]
    seen += [select.get_query(), isinstance(select.get_name(), str)]
    async with raw.transaction():
        for text in ("SAVEPOINT s", "ROLLBACK TO s", "release savepoint s", "INSERT INTO t VALUES (9)"):
            statement = await raw.prepare(text)
            await statement.fetch()
            seen += [statement.get_statusmsg()]
        seen += [[row.x async for row in select.cursor(1, prefetch=1)]]
        cursor = await raw.cursor("SELECT x FROM t ORDER BY x")
        seen += [await cursor.fetchrow(), await cursor.forward(2), await cursor.fetch(5)]
        seen += [await cursor.fetchrow()]
    return [*seen, await async_error(raw.cursor("SELECT 1"))]


async def copies(raw: Any, path: str) -> Seen:
    await raw.execute(CREATE)
    seen: Seen = [await raw.copy_records_to_table("t", records=[(1, "one"), (2, None)])]
    seen += [await raw.copy_from_table("t", output=path, format="csv")]
    seen += [await raw.copy_from_query("SELECT x FROM t WHERE x < $1", 2, output=path)]
    seen += [await raw.execute("DELETE FROM t"), await raw.copy_to_table("t", source=path, columns=["x"])]
    seen += [await async_error(raw.copy_records_to_table("t", records=[(1, "again")]))]
    return [*seen, await raw.fetch("SELECT * FROM t")]


async def types(raw: Any) -> Seen:
    def decode(value: str) -> str:
        return f"read {value}"

    def encode(value: str) -> str:
        return value

    seen: Seen = []
    for _ in range(2):
        await raw.set_type_codec("json", encoder=encode, decoder=decode, schema="pg_catalog")
        seen += [await raw.fetchval("SELECT '[1]'::json")]
    await raw.reset_type_codec("json", schema="pg_catalog")
    seen += [await raw.fetchval("SELECT '[1]'::json")]
    await raw.execute("CREATE EXTENSION hstore")
    await raw.set_builtin_type_codec("hstore", codec_name="pg_contrib.hstore")
    seen += [await raw.fetchval("SELECT 'a=>1'::hstore")]
    await raw.reload_schema_state()
    return seen


async def state(raw: Any) -> Seen:
    def noted(*_: object) -> None: ...

    await raw.execute("SET work_mem = '1MB'")
    seen: Seen = [await raw.fetchval("SHOW work_mem")]
    async with raw.transaction():
        await raw.execute("SET LOCAL work_mem = '2MB'")
        seen += [await raw.fetchval("SHOW work_mem")]
    seen += [await raw.fetchval("SHOW work_mem"), raw.get_server_version().major]
    seen += [raw.get_settings().server_encoding, raw.get_server_pid() > 0]
    raw.add_log_listener(noted)
    raw.remove_log_listener(noted)
    raw.add_termination_listener(noted)
    raw.remove_termination_listener(noted)
    seen += [await async_error(raw.fetch("SELECT pg_sleep(1)", timeout=0.05)), hasattr(raw, "nonsense")]
    seen += [await raw.fetchval("SELECT 1, 2", column=1), await raw.fetchrow("SELECT 1 WHERE false")]
    await raw.close()
    return [*seen, raw.is_closed(), await async_error(raw.execute("SELECT 1"))]


@pytest.mark.parametrize("program", [blocks, by_hand, prepared, copies, types, state])
async def test_asyncpg(
    joined: Joined, pg_empty_database: Database, program: Callable[..., Awaitable[Seen]], tmp_path: Any
) -> None:
    async def run(url: str) -> Seen:
        raw = await asyncpg.connect(url)
        try:
            return await (program(raw, str(tmp_path / "copied")) if program is copies else program(raw))
        finally:
            await raw.close()

    with joined.test():
        seen = await run(joined.url)

    assert seen == await run(pg_empty_database.url)
