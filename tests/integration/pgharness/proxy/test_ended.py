"""The proxy or the server that ends: every client gets one error at once, and nothing hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest

from pgharness.errors import HarnessError
from pgharness.proxy.core import wire
from pgharness.server.base import Server
from tests.support.proxied import ERRORS, Bare, Beside, Proxied, until

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])
_KILL = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid()"""


def test_the_proxy_is_killed(proxied: Proxied) -> None:
    clients = [Bare(proxied) for _ in range(3)]
    proxied.control.tell("begin", test="test_x", isolation="rollback")
    clients[0].send(wire.query("SELECT pg_sleep(60)"))
    clients[1].send(wire.query("SELECT 1"))
    waits = [Beside(client.read) for client in clients]
    time.sleep(0.1)

    os.kill(proxied.control.pid, signal.SIGKILL)

    for wait in waits:
        with pytest.raises(OSError, match=r".*"):
            wait.answer(2)
    with pytest.raises(ERRORS):
        psycopg.connect(proxied.url)
    with pytest.raises(HarnessError, match="the proxy of this run has ended"):
        proxied.end()


@contextlib.contextmanager
def _quick() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("busy", [False, True])
def test_the_shared_backend_is_ended(
    proxied: Proxied, direct: psycopg.Connection[Any], *, busy: bool
) -> None:
    proxied.control.tell("begin", test="test_x", isolation="rollback")
    one, two, three = Bare(proxied), Bare(proxied), Bare(proxied)
    one.query("BEGIN")
    two.query("INSERT INTO t VALUES (2)")
    if busy:
        one.send(wire.query("SELECT pg_sleep(60)"))
        time.sleep(0.1)
        two.send(wire.query("SELECT 1"))
        time.sleep(0.1)

    with _quick():
        direct.execute(_KILL)
        first = [one.answer(), two.answer()] if busy else [["0A000"], ["0A000"]]
        said = [Beside(partial(client.query, "SELECT 1")).answer(2) for client in (one, two, three)]
        refusals = Beside(proxied.end).answer(2)

    assert first == [["0A000"], ["0A000"]]
    assert said[1:] == [["0A000"], ["0A000"]]
    assert said[0] in (["0A000"], ["25P02"])
    assert "connection_lost" in refusals
    with proxied.test("test_y"):
        assert one.query("ROLLBACK") == ["ROLLBACK"]
        assert [client.query("SELECT x FROM t") for client in (one, two, three)] == [["SELECT 0"]] * 3


async def test_every_driver_hears_of_it(proxied: Proxied, direct: psycopg.Connection[Any]) -> None:
    proxied.control.tell("begin", test="test_x", isolation="rollback")
    one = await asyncpg.connect(proxied.url)
    two = psycopg.connect(proxied.url)
    three = psycopg2.connect(proxied.url)
    await one.execute("INSERT INTO t VALUES (1)")
    two.execute("INSERT INTO t VALUES (2)")
    direct.execute(_KILL)

    with _quick():
        with pytest.raises(asyncpg.PostgresError, match="pgharness"):
            await one.fetch("SELECT 1")
        with pytest.raises(psycopg.Error, match="pgharness"):
            two.execute("SELECT 1")
        with pytest.raises(psycopg2.Error, match="pgharness"):
            three.cursor().execute("SELECT 1")
    assert proxied.end()
    await one.close()
    two.close()
    three.close()


def test_a_backend_that_ends_while_the_test_ends(proxied: Proxied, direct: psycopg.Connection[Any]) -> None:
    one = Bare(proxied)
    for number in range(10):
        proxied.control.tell("begin", test=f"test_{number}", isolation="rollback")
        one.query("INSERT INTO t VALUES (1)")
        killing = Beside(lambda: direct.execute(_KILL).fetchall())
        if number % 2:
            time.sleep(0.0005)
        Beside(proxied.end).answer(5)
        killing.answer()

    def serves() -> bool:
        proxied.control.tell("begin", test="test_x", isolation="rollback")
        said = one.query("SELECT count(*) FROM t")
        proxied.end()
        return said == ["0", "SELECT 1"]

    until(serves)


def test_the_server_is_stopped(server: Server) -> None:
    with psycopg.connect(server.address.url("postgres"), autocommit=True) as made:
        made.execute("CREATE DATABASE ended")
    proxied = Proxied(server.address, "ended")
    proxied.control.tell("begin", test="test_x", isolation="rollback")
    one, two = Bare(proxied), Bare(proxied)
    one.send(wire.query("SELECT pg_sleep(60)"))
    time.sleep(0.1)
    two.send(wire.query("SELECT 1"))
    time.sleep(0.1)

    Beside(server.stop).answer(20)

    with _quick():
        assert (one.answer(), two.answer()) == (["0A000"], ["0A000"])
        assert two.query("SELECT 1") == ["0A000"]
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(proxied.url, application_name="late", options="-c work_mem=5MB")
        assert Beside(proxied.end).answer(2)
        with pytest.raises(HarnessError):
            proxied.control.ask("begin", test="test_y", isolation="rollback")
    proxied.close()
