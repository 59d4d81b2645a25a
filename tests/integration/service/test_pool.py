"""Dead connections of the pool are replaced before a request gets one, also after a restart of the server."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.fixtures import Database
from service.database import UNAVAILABLE, create_engine, is_unavailable
from service.pool import check_on_checkout
from service.settings import Settings
from tests.support.scratch_server import scratch_server

# Connections of their own, to be ended by the server; one test has a server of its own on some port.
pytestmark = pytest.mark.pg(isolation="database", allow_hosts=["127.0.0.1"])


@pytest.fixture
async def engine(pg_database: Database) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(Settings(database_url=SecretStr(pg_database.asyncpg_url)))
    yield engine
    await engine.dispose()


async def used(engine: AsyncEngine) -> tuple[int, Any]:
    """The server's process behind a connection that is in the pool again, and the driver's connection."""
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        return (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one(), driver


def end(pid: int, database: Database) -> None:
    """End a process of the server, from outside: the event loop has no chance to hear of it."""
    with psycopg.connect(database.url) as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])


async def test_a_connection_that_the_server_ended_is_replaced_unseen(
    engine: AsyncEngine, pg_database: Database
) -> None:
    pid, driver = await used(engine)
    heard = asyncio.Event()
    driver.add_termination_listener(lambda _: heard.set())

    end(pid, pg_database)
    await heard.wait()

    assert (await used(engine))[0] != pid


async def test_a_connection_that_vanished_silently_is_found_after_a_long_idle_time(
    engine: AsyncEngine, pg_database: Database
) -> None:
    check_on_checkout(engine, long_idle=0)
    pid, _ = await used(engine)

    end(pid, pg_database)

    assert (await used(engine))[0] != pid


async def test_a_connection_that_vanished_just_now_fails_one_request_as_unavailable(
    engine: AsyncEngine, pg_database: Database
) -> None:
    pid, _ = await used(engine)

    end(pid, pg_database)

    with pytest.raises(DBAPIError) as caught:
        await used(engine)
    assert is_unavailable(caught.value)
    assert (await used(engine))[0] != pid


async def test_a_restart_of_the_server_is_survived() -> None:
    with scratch_server() as server:
        url = server.address.template_values("postgres")["asyncpg_url"]
        engine = create_engine(Settings(database_url=SecretStr(url)))
        try:
            before = [pid for pid, _ in await asyncio.gather(used(engine), used(engine), used(engine))]

            os.kill(before[0], signal.SIGKILL)  # the server ends all its processes and starts anew
            refused: list[Exception] = []
            pid = before[0]
            while pid in before:
                try:
                    pid, _ = await used(engine)
                except UNAVAILABLE as error:
                    refused.append(error)
            after = [pid for pid, _ in await asyncio.gather(used(engine), used(engine), used(engine))]
        finally:
            await engine.dispose()

    assert all(map(is_unavailable, refused))
    assert not {*after} & {*before}
