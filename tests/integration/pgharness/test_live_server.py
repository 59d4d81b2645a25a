"""``live_server``: the app on a real port, and what is left of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import re
import socket
import threading
from collections.abc import AsyncIterator

import httpx
import pytest
import websockets
from fastapi import BackgroundTasks, FastAPI, WebSocket
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from starlette.responses import StreamingResponse

from pgharness.fixtures import Database, LiveServer
from pgharness.tiers import guard
from pgharness.web.serving import AppServer

logger = logging.getLogger("shop")


class State:
    """What the app of this module tells its tests. Its engine is never disposed of, as at module level."""

    engine: AsyncEngine | None = None
    events: list[str]


state = State()


@contextlib.asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, str]]:
    state.events = ["started"]
    yield {"greeting": "hello"}
    state.events.append("stopped")


app = FastAPI(lifespan=lifespan)


def engine() -> AsyncEngine:
    assert state.engine is not None
    return state.engine


@app.post("/tables")
async def create(name: str, tasks: BackgroundTasks) -> str:
    async with engine().begin() as connection:
        await connection.execute(text(f"CREATE TABLE {name} ()"))
    tasks.add_task(audit)
    return name


async def audit() -> None:
    await asyncio.sleep(0.05)
    state.events.append("audited")


@app.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for word in socket.iter_text():
        async with engine().connect() as connection:
            await socket.send_text(await connection.scalar(text("SELECT upper(:word)"), {"word": word}))
    state.events.append("hung up")


@app.get("/numbers")
async def numbers() -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(3):
            yield f"{number}\n"
        await asyncio.sleep(3600)

    return StreamingResponse(lines())


@app.get("/slow")
async def slow() -> None:
    await asyncio.sleep(3600)


@app.get("/thread")
def thread() -> str:
    return threading.current_thread().name


@app.get("/greeting")
async def greeting() -> str:
    logger.warning("somebody is greeted")
    return "hello"


@pytest.fixture(scope="module")
def pg_app() -> FastAPI:
    return app


@pytest.fixture(autouse=True)
def engine_at_module_level(pg_database: Database) -> None:
    """One engine for all tests of the module; all their databases have one name."""
    if state.engine is None:
        state.engine = create_async_engine(pg_database.asyncpg_url)


ISOLATIONS = [
    pytest.param(name, marks=pytest.mark.pg(isolation=name), id=f"{number} {name}")
    for number, name in enumerate(("rollback", "database", "database", "rollback"))
]


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_real_requests_and_nothing_left_for_the_next(
    live_server: LiveServer, pg_database: Database, db_session: AsyncSession, isolation: str
) -> None:
    gc.collect()  # what an earlier test has left open would warn here

    async with httpx.AsyncClient(base_url=live_server.url) as http:
        response = await http.post("/tables", params={"name": "shelf"})

    assert (response.status_code, response.headers["server"]) == (200, "uvicorn")
    assert pg_database.isolation == isolation
    assert await db_session.scalar(text("SELECT to_regclass('shelf') IS NOT NULL"))


def test_a_plain_test_has_it_too(live_server: LiveServer) -> None:
    assert httpx.get(f"{live_server.url}/greeting").json() == "hello"
    assert live_server.url == f"http://127.0.0.1:{live_server.port}"


async def test_a_test_of_the_same_module_in_process(client: httpx.AsyncClient, pg_database: Database) -> None:
    response = await client.post("/tables", params={"name": "shelf"})

    assert (response.status_code, pg_database.isolation) == (200, "rollback")


async def test_websockets(live_server: LiveServer) -> None:
    async with websockets.connect(live_server.url.replace("http", "ws") + "/echo") as connection:
        await connection.send("word")
        assert await connection.recv() == "WORD"


async def test_a_stream_arrives_piece_by_piece(live_server: LiveServer) -> None:
    received = []
    async with (
        httpx.AsyncClient(base_url=live_server.url) as http,
        http.stream("GET", "/numbers") as response,
    ):
        async for line in response.aiter_lines():
            received.append(line)
            if len(received) == 3:
                break

    assert received == ["0", "1", "2"]


async def test_a_timeout_of_the_client(live_server: LiveServer) -> None:
    async with httpx.AsyncClient(base_url=live_server.url, timeout=httpx.Timeout(30, read=0.05)) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get("/slow")


def test_a_live_server_stops_when_its_lifespan_has() -> None:
    server = AppServer(app)
    server.start()
    assert state.events == ["started"]

    server.stop()
    server.stop()

    assert state.events == ["started", "stopped"]


def test_it_leaves_no_thread_and_no_socket() -> None:
    threads = set(threading.enumerate())
    server = AppServer(app)
    port = server.start()
    assert httpx.get(f"http://127.0.0.1:{port}/thread").json().startswith("AnyIO")

    server.stop()

    for made in set(threading.enumerate()) - threads:
        made.join(5)
    assert {made for made in threading.enumerate() if made not in threads} == set()
    assert port not in guard._listening
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_background_tasks_are_waited_for() -> None:
    server = AppServer(app)
    port = server.start()

    httpx.post(f"http://127.0.0.1:{port}/tables", params={"name": "shelf"}).raise_for_status()
    server.stop()

    assert state.events == ["started", "audited", "stopped"]


async def test_what_is_unanswered_or_open_ends_with_the_server() -> None:
    server = AppServer(app, stop_seconds=20)
    port = server.start()
    async with (
        websockets.connect(f"ws://127.0.0.1:{port}/echo") as connection,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        waiting = asyncio.create_task(http.get("/slow"))
        async with http.stream("GET", "/numbers") as response:
            first = await anext(response.aiter_lines())
            await connection.send("word")
            await connection.recv()

            await asyncio.wait_for(asyncio.to_thread(server.stop), 15)

        answer = await waiting
        with pytest.raises(websockets.ConnectionClosed):
            await connection.recv()

    assert (first, answer.status_code) == ("0", 500)
    assert state.events == ["started", "hung up", "stopped"]


# -- isolation and log ----------------------------------------------------------------------------------


def test_the_log_has_the_server_s_records_and_the_app_s() -> None:
    levels = [logging.getLogger(name).level for name in ("uvicorn.access", "uvicorn.error", "")]
    server = AppServer(app)
    port = server.start()

    httpx.get(f"http://127.0.0.1:{port}/greeting")
    httpx.get(f"http://127.0.0.1:{port}/nowhere")
    server.stop()
    logger.warning("after the server")

    lines = [line.partition(",")[2].partition(" ")[2] for line in server.log.lines]
    assert lines[0] == "WARNING  shop: somebody is greeted"
    assert [re.sub(r":\d+ ", ":PORT ", line) for line in lines[1:]] == [
        'INFO     uvicorn.access: 127.0.0.1:PORT - "GET /greeting HTTP/1.1" 200',
        'INFO     uvicorn.access: 127.0.0.1:PORT - "GET /nowhere HTTP/1.1" 404',
    ]
    assert [logging.getLogger(name).level for name in ("uvicorn.access", "uvicorn.error", "")] == levels
