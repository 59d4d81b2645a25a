"""The drivers' own interfaces: in the test's transaction they answer as on a connection of their own.

Each program talks to a connection of the driver and lists what it saw. It runs once joined, once on a
connection of its own, and the lists are to be equal.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import psycopg
import psycopg2
import pytest
from psycopg import pq, sql
from psycopg.rows import dict_row

from pgharness.fixtures import Database
from tests.support.driver_errors import async_error, error
from tests.support.joined import Joined

Seen = list[Any]

# -- psycopg ------------------------------------------------------------------------------------------

CREATE = "CREATE TABLE t (x int PRIMARY KEY, y text)"


def rows(raw: psycopg.Connection[Any]) -> list[int]:
    return [x for (x,) in raw.execute("SELECT x FROM t ORDER BY x")]


def transaction_blocks(raw: psycopg.Connection[Any]) -> Seen:
    raw.execute(CREATE)
    raw.commit()
    seen: Seen = []
    with raw.transaction():
        raw.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation), raw.transaction():
            raw.execute("INSERT INTO t VALUES (1)")
        with raw.transaction("named"):
            raw.execute("INSERT INTO t VALUES (2)")
        with raw.transaction():
            raw.execute("INSERT INTO t VALUES (3)")
            raise psycopg.Rollback
        with raw.transaction(force_rollback=True):
            raw.execute("INSERT INTO t VALUES (4)")
        seen += [rows(raw), raw.info.transaction_status.name]
        seen += [error(raw.commit), error(raw.rollback)]
    seen += [raw.info.transaction_status.name, rows(raw)]
    raw.rollback()
    return [*seen, rows(raw)]


def failures(raw: psycopg.Connection[Any]) -> Seen:
    raw.execute(CREATE)
    raw.commit()
    raw.execute("INSERT INTO t VALUES (1)")
    seen: Seen = [error(lambda: raw.execute("INSERT INTO t VALUES (1)")), raw.info.transaction_status.name]
    seen += [error(lambda: raw.execute("SELECT 1")), error(lambda: raw.execute("SAVEPOINT s"))]
    raw.rollback()
    seen += [rows(raw), error(lambda: raw.execute("RELEASE SAVEPOINT nowhere"))]
    raw.rollback()
    raw.execute("INSERT INTO t VALUES (2)")
    raw.execute("SAVEPOINT s")
    seen += [error(lambda: raw.execute("SELEC")), error(lambda: raw.execute("ROLLBACK TO SAVEPOINT s"))]
    raw.execute("RELEASE s")
    raw.commit()
    return [*seen, rows(raw)]


def statements(raw: psycopg.Connection[Any]) -> Seen:
    raw.execute(CREATE)
    raw.commit()
    cursor = raw.cursor()
    cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(n, f"row {n}") for n in range(5)])
    seen: Seen = [cursor.rowcount]
    cursor.executemany("INSERT INTO t (x) VALUES (%s) RETURNING x", [(7,), (8,)], returning=True)
    seen += [cursor.fetchone(), cursor.nextset(), cursor.fetchone()]
    with cursor.copy("COPY t FROM STDIN") as copy:
        copy.write_row((9, None))
    with cursor.copy("COPY (SELECT x FROM t ORDER BY x) TO STDOUT") as copy:
        seen += [list(copy.rows())]
    with raw.cursor("held") as held:
        held.itersize = 2
        held.execute("SELECT x FROM t ORDER BY x")
        seen += [held.fetchone(), held.fetchmany(2), error(lambda: held.executemany("SELECT 1", []))]
        held.scroll(1)
        seen += [list(held)]
    query = sql.SQL("SELECT {} FROM {} WHERE x < %s").format(sql.Identifier("y"), sql.Identifier("t"))
    seen += [raw.execute(query, (2,)).fetchall(), raw.execute(b"SELECT 1").fetchone()]
    seen += [raw.cursor(row_factory=dict_row).execute("SELECT 2 AS two").fetchone()]
    seen += [list(raw.cursor().stream("SELECT x FROM t WHERE x > %s ORDER BY x", (7,)))]
    seen += [raw.execute("").description, raw.execute("-- nothing").description]
    return [*seen, error(raw.cursor().fetchone)]


def assign(raw: psycopg.Connection[Any], name: str, value: object) -> None:
    """As ``raw.set_name(value)``, which psycopg has from 3.2 on."""
    setter = getattr(raw, f"set_{name}", None)
    setattr(raw, name, value) if setter is None else setter(value)


def read_only_and_isolation(raw: psycopg.Connection[Any]) -> Seen:
    raw.execute(CREATE)
    seen: Seen = [
        error(lambda: assign(raw, "read_only", True)),
        error(lambda: assign(raw, "autocommit", True)),
    ]
    raw.commit()
    raw.read_only = True
    seen += [error(lambda: raw.execute("INSERT INTO t VALUES (1)"))]
    raw.rollback()
    raw.read_only = None
    raw.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    raw.execute("INSERT INTO t VALUES (1)")
    raw.commit()
    raw.isolation_level = None
    return [*seen, rows(raw)]


def settings(raw: psycopg.Connection[Any]) -> Seen:
    def shown() -> Any:
        return raw.execute("SHOW work_mem").fetchone()

    raw.execute("SET work_mem = '1MB'")
    seen: Seen = [shown()]
    raw.rollback()
    raw.execute("SET LOCAL work_mem = '2MB'")
    seen += [shown()]
    raw.commit()
    raw.execute("SET work_mem = '3MB'")
    raw.commit()
    seen += [shown()]
    raw.rollback()
    return [*seen, shown()]


def closing(raw: psycopg.Connection[Any]) -> Seen:
    with raw:
        raw.execute(CREATE)
        raw.execute("INSERT INTO t VALUES (1)")
    return [
        raw.closed,
        error(lambda: raw.execute("SELECT 1")),
        error(raw.cursor),
        error(raw.rollback),
        error(raw.close),
    ]


def autocommit(raw: psycopg.Connection[Any]) -> Seen:
    raw.commit()
    raw.autocommit = True
    raw.execute(CREATE)
    raw.execute("INSERT INTO t VALUES (1)")
    seen: Seen = [error(lambda: raw.execute("INSERT INTO t VALUES (1)")), rows(raw)]
    seen += [raw.info.transaction_status.name, error(lambda: raw.execute("SAVEPOINT s"))]
    raw.execute("BEGIN")
    raw.execute("INSERT INTO t VALUES (2)")
    seen += [raw.info.transaction_status.name]
    raw.execute("ROLLBACK")
    raw.execute("BEGIN")
    raw.execute("INSERT INTO t VALUES (3)")
    raw.execute("SAVEPOINT s")
    raw.execute("INSERT INTO t VALUES (4)")
    raw.execute("ROLLBACK TO s")
    raw.execute("COMMIT")
    seen += [raw.info.transaction_status.name, rows(raw)]
    with raw.transaction():
        raw.execute("INSERT INTO t VALUES (5)")
        seen += [raw.info.transaction_status == pq.TransactionStatus.INTRANS]
    raw.execute("SET work_mem = '1MB'")
    return [*seen, rows(raw), raw.execute("SHOW work_mem").fetchone()]


@pytest.mark.parametrize(
    "program",
    [
        transaction_blocks,
        failures,
        statements,
        read_only_and_isolation,
        settings,
        closing,
        autocommit,
    ],
)
def test_psycopg(
    joined: Joined, pg_empty_database: Database, program: Callable[[psycopg.Connection[Any]], Seen]
) -> None:
    def run(url: str) -> Seen:
        with contextlib.closing(psycopg.connect(url)) as raw:
            return program(raw)

    with joined.test():
        seen = run(joined.url)

    assert seen == run(pg_empty_database.url)


async def async_program(raw: psycopg.AsyncConnection[Any]) -> Seen:
    await raw.execute(CREATE)
    await raw.commit()
    seen: Seen = []
    async with raw.transaction():
        await raw.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with raw.transaction():
                await raw.execute("INSERT INTO t VALUES (1)")
        async with raw.transaction(force_rollback=True):
            await raw.execute("INSERT INTO t VALUES (2)")
        seen += [await async_error(raw.commit()), raw.info.transaction_status.name]
    cursor = raw.cursor()
    await cursor.executemany("INSERT INTO t VALUES (%s)", [(5,), (6,)])
    async with cursor.copy("COPY t FROM STDIN") as copy:
        await copy.write_row((9, "nine"))
    async with raw.cursor("held") as held:
        await held.execute("SELECT x FROM t ORDER BY x")
        seen += [await held.fetchmany(2), await held.fetchall()]
    seen += [[row async for row in raw.cursor().stream("SELECT y FROM t WHERE x = 9")]]
    seen += [await async_error(raw.execute("SELEC")), await async_error(raw.execute("SELECT 1"))]
    await raw.rollback()
    seen += [await (await raw.execute("SELECT count(*) FROM t")).fetchone()]
    await raw.rollback()
    await raw.set_autocommit(True)
    await raw.execute("BEGIN")
    await raw.execute("INSERT INTO t VALUES (7)")
    await raw.execute("COMMIT")
    seen += [await (await raw.execute("SELECT count(*) FROM t")).fetchone(), raw.closed]
    await raw.close()
    seen += [raw.closed, await async_error(raw.execute("SELECT 1")), await async_error(raw.commit())]
    return [*seen, await async_error(raw.rollback())]


async def test_psycopg_async(joined: Joined, pg_empty_database: Database) -> None:
    async def run(url: str) -> Seen:
        raw = await psycopg.AsyncConnection.connect(url)
        try:
            return await async_program(raw)
        finally:
            await raw.close()

    with joined.test():
        seen = await run(joined.url)

    assert seen == await run(pg_empty_database.url)


# -- psycopg2 -----------------------------------------------------------------------------------------


def psycopg2_program(raw: Any) -> Seen:
    with raw, raw.cursor() as cursor:
        cursor.execute(CREATE)
    seen: Seen = [raw.status, raw.info.transaction_status]
    with raw.cursor() as cursor:
        cursor.executemany("INSERT INTO t VALUES (%s, %s)", [(n, f"row {n}") for n in range(5)])
        seen += [cursor.rowcount, cursor.statusmessage, raw.info.transaction_status]
        cursor.execute("SAVEPOINT s")
        seen += [error(lambda: cursor.execute("INSERT INTO t VALUES (1)"))]
        seen += [error(lambda: cursor.execute("SELECT 1")), raw.info.transaction_status]
        cursor.execute("ROLLBACK TO SAVEPOINT s")
        cursor.copy_expert("COPY t FROM STDIN", io.StringIO("9\tnine\n"))
        copied = io.StringIO()
        cursor.copy_expert("COPY (SELECT x FROM t ORDER BY x) TO STDOUT", copied)
        seen += [copied.getvalue()]
    raw.commit()
    with raw.cursor("held") as held:
        held.itersize = 2
        held.execute("SELECT x FROM t ORDER BY x")
        seen += [held.fetchone(), held.fetchmany(2), held.fetchall()]
    raw.rollback()
    raw.set_session(readonly=True, isolation_level="REPEATABLE READ")
    with raw.cursor() as cursor:
        seen += [error(lambda: cursor.execute("DELETE FROM t"))]
    raw.rollback()
    raw.set_session(readonly=False, isolation_level="DEFAULT", autocommit=True)
    with raw.cursor() as cursor:
        cursor.execute("DELETE FROM t WHERE x > 2; SELECT count(*) FROM t")
        seen += [cursor.fetchone(), raw.info.transaction_status]
        seen += [error(lambda: cursor.execute("SELECT 1/0")), raw.closed]
    return seen


def test_psycopg2(joined: Joined, pg_empty_database: Database) -> None:
    def run(url: str) -> Seen:
        with contextlib.closing(psycopg2.connect(url)) as raw:
            return psycopg2_program(raw)

    with joined.test():
        seen = run(joined.url)

    assert seen == run(pg_empty_database.url)
