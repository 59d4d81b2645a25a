"""Apps under a live server that do not start or do not stop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI

from pgharness.errors import AppError
from pgharness.fixtures import Database
from pgharness.web.serving import AppServer


def test_a_lifespan_that_fails_is_named() -> None:
    @contextlib.asynccontextmanager
    async def broken(_app: FastAPI) -> AsyncIterator[None]:
        raise LookupError("no such setting: COLOUR")
        yield

    threads = set(threading.enumerate())
    server = AppServer(FastAPI(lifespan=broken))

    with pytest.raises(AppError) as raised:
        server.start()

    assert str(raised.value) == str(
        AppError.lifespan_failed("startup", "LookupError: no such setting: COLOUR")
    )
    assert set(threading.enumerate()) == threads
    server.stop()


def test_a_shutdown_that_fails_is_named() -> None:
    @contextlib.asynccontextmanager
    async def broken(_app: FastAPI) -> AsyncIterator[None]:
        yield
        raise LookupError("it was here")

    server = AppServer(FastAPI(lifespan=broken))
    server.start()

    with pytest.raises(AppError) as raised:
        server.stop()

    assert raised.value.failed == "the app's lifespan failed during shutdown: LookupError: it was here"


def test_a_lifespan_that_never_starts() -> None:
    @contextlib.asynccontextmanager
    async def waiting(_app: FastAPI) -> AsyncIterator[None]:
        await asyncio.sleep(3600)
        yield

    server = AppServer(FastAPI(lifespan=waiting), start_seconds=0.2)

    with pytest.raises(AppError) as raised:
        server.start()

    assert str(raised.value) == str(AppError.live_server_late("start", 0.2))


def test_a_lifespan_that_never_stops() -> None:
    @contextlib.asynccontextmanager
    async def waiting(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.sleep(3600)

    server = AppServer(FastAPI(lifespan=waiting), stop_seconds=0.2)
    server.start()

    with pytest.raises(AppError) as raised:
        server.stop()

    assert raised.value.failed == "the app's lifespan failed during shutdown: not done after 0.2 s"


def test_an_app_that_blocks_its_loop_does_not_block_the_tests() -> None:
    entered, blocked = threading.Event(), threading.Event()
    blocking = FastAPI()

    @blocking.get("/")
    async def block() -> None:
        entered.set()
        blocked.wait(60)

    server = AppServer(blocking, stop_seconds=0.1)
    port = server.start()
    with socket.create_connection(("127.0.0.1", port)) as made:
        made.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert entered.wait(10)

        with pytest.raises(AppError) as raised:
            server.stop()
        blocked.set()
        ending = [thread for thread in threading.enumerate() if thread.name == "pgharness-live"]
        for thread in ending:
            thread.join(10)

    assert raised.value.failed.startswith("live_server did not stop within 0.3")


async def test_a_pool_that_the_app_leaves_open_is_cut(pg_database: Database) -> None:
    sockets: list[socket.socket] = []

    @contextlib.asynccontextmanager
    async def careless(_app: FastAPI) -> AsyncIterator[None]:
        pool: Any = await asyncpg.create_pool(pg_database.url, min_size=2)
        held = [await pool.acquire(), await pool.acquire()]
        sockets.extend(each._con._transport.get_extra_info("socket") for each in held)
        yield

    server = AppServer(FastAPI(lifespan=careless))
    server.start()
    assert [each.fileno() > 0 for each in sockets] == [True, True]

    server.stop()

    assert [each.fileno() for each in sockets] == [-1, -1]


def test_without_uvicorn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    with pytest.raises(AppError) as raised:
        AppServer(FastAPI()).start()

    assert str(raised.value) == str(AppError.no_uvicorn("uvicorn"))
