"""Large results and copies, with the proxy's memory within bounds."""

from __future__ import annotations

import io
import time
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest

from pgharness.proxy.core import wire
from tests.support.proxied import Bare, Beside, Proxied

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])
_MOST = 64_000
"""How much the process may ever hold, in KiB; it begins with 20,000."""
_LINE = b"x" * 99 + b"\n"
_COPIED = 50_000_000


async def test_a_million_rows_are_read(proxied: Proxied) -> None:
    with proxied.test():
        one = await asyncpg.connect(proxied.url)
        rows = await one.fetch("SELECT x, repeat('y', 20) FROM generate_series(1, 1000000) AS x")
        await one.close()

    assert (len(rows), rows[-1][0]) == (1_000_000, 1_000_000)
    assert proxied.status("VmHWM") < _MOST


def test_a_client_that_reads_slowly_does_not_fill_the_memory(proxied: Proxied) -> None:
    with proxied.test():
        one = Bare(proxied)
        one.send(wire.query("SELECT repeat('y', 1000) FROM generate_series(1, 100000)"))
        time.sleep(1)
        read = 0
        while len(data := one.socket.recv(1 << 20)) and not data.endswith(wire.READY[b"I"]):
            read += len(data)
        one.close()

    assert read > 100_000_000
    assert proxied.status("VmHWM") < _MOST


def test_fifty_megabytes_are_copied_in_and_out(proxied: Proxied) -> None:
    with proxied.test(), psycopg.connect(proxied.url) as one:
        with one.cursor() as cursor, cursor.copy("COPY words (v) FROM STDIN") as copy:
            for _ in range(_COPIED // len(_LINE) // 100):
                copy.write(_LINE * 100)
        size = 0
        with one.cursor() as cursor, cursor.copy("COPY words (v) TO STDOUT") as copy:
            for block in copy:
                size += len(block)

    assert size == _COPIED
    assert proxied.status("VmHWM") < _MOST


def test_a_copy_that_the_server_takes_slowly_does_not_fill_the_memory(
    proxied: Proxied, direct: psycopg.Connection[Any]
) -> None:
    direct.execute("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                   "IF new.v LIKE 'z%' THEN PERFORM pg_sleep(1); END IF; RETURN NULL; END $$")  # fmt: skip
    direct.execute("CREATE TRIGGER slow BEFORE INSERT ON words FOR EACH ROW EXECUTE FUNCTION slow()")
    rows = io.BytesIO(b"z" * 50 + b"\n" + _LINE * (_COPIED // len(_LINE) // 2))
    with proxied.test():
        one = psycopg2.connect(proxied.url)
        with one.cursor() as cursor:
            cursor.copy_expert("COPY words (v) FROM STDIN", rows)
        one.close()

    assert proxied.status("VmHWM") < _MOST


@pytest.mark.parametrize("protocol", ["simple", "extended"])
def test_rows_are_copied_by_libpq(proxied: Proxied, protocol: str) -> None:
    with proxied.test(), psycopg.connect(proxied.url, autocommit=True) as one:
        libpq = one.pgconn
        if protocol == "simple":
            begun = libpq.exec_(b"COPY t FROM STDIN")
        else:
            begun = libpq.exec_params(b"COPY t FROM STDIN", [])
        libpq.put_copy_data(b"1\n2\n")
        libpq.put_copy_end()
        done = Beside(libpq.get_result).answer(5)
        rest = Beside(libpq.get_result).answer(5)

        assert (begun.status, done.status, rest) == (
            psycopg.pq.ExecStatus.COPY_IN,
            psycopg.pq.ExecStatus.COMMAND_OK,
            None,
        )
        assert one.execute("SELECT x FROM t").fetchall() == [(1,), (2,)]


async def test_rows_are_copied_by_asyncpg(proxied: Proxied) -> None:
    with proxied.test():
        one = await asyncpg.connect(proxied.url)
        copied = await one.copy_records_to_table("t", records=[(1,), (2,)])
        with pytest.raises(asyncpg.UniqueViolationError):
            await one.copy_records_to_table("t", records=[(3,), (2,)])
        read = io.BytesIO()
        await one.copy_from_table("t", output=read)
        await one.close()

    assert (copied, read.getvalue()) == ("COPY 2", b"1\n2\n")


def test_a_value_of_many_megabytes_goes_both_ways(proxied: Proxied) -> None:
    value = "x" * 30_000_000
    began = time.monotonic()
    with proxied.test(), psycopg.connect(proxied.url) as one:
        assert one.execute("SELECT %s::text", [value]).fetchone() == (value,)

    assert time.monotonic() - began < 5
