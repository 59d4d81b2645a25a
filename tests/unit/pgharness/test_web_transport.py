"""The client's way to an application in its own process: chunk by chunk, and told when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pgharness.web.app import Lifespan
from pgharness.web.transport import AppTransport

EVENTS: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    EVENTS.clear()


async def endless(_: Request) -> Response:
    async def numbers() -> AsyncIterator[str]:
        number = 0
        try:
            while True:
                yield f"data: {number}\n\n"
                EVENTS.append(f"sent {number}")
                number += 1
                await asyncio.sleep(0)
        finally:
            EVENTS.append("closed")

    return StreamingResponse(numbers(), media_type="text/event-stream")


async def upload(request: Request) -> Response:
    sizes = [len(chunk) async for chunk in request.stream()]
    return PlainTextResponse(str(sum(sizes)))


async def in_the_background(_: Request) -> Response:
    async def work() -> None:
        await asyncio.sleep(0.01)
        EVENTS.append("done")

    return PlainTextResponse("answered", background=BackgroundTask(work))


async def late_failure(_: Request) -> Response:
    async def chunks() -> AsyncIterator[str]:
        yield "one"
        raise ValueError("in the middle")

    return StreamingResponse(chunks())


async def waits(_: Request) -> Response:
    try:
        await asyncio.sleep(60)
    finally:
        EVENTS.append("cancelled")
    return PlainTextResponse("never")


async def _passes(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    return response


ROUTES = [
    *(Route("/endless", endless), Route("/upload", upload, methods=["POST"])),
    *(Route("/background", in_the_background), Route("/late", late_failure), Route("/waits", waits)),
]


@contextlib.asynccontextmanager
async def client(*middleware: Middleware, raises: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=ROUTES, middleware=list(middleware))
    lifespan = Lifespan(app)
    transport = AppTransport(app, lifespan, raise_app_exceptions=raises)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as made:
        yield made
    await lifespan.end(5)


@pytest.mark.parametrize("middleware", [(), (Middleware(BaseHTTPMiddleware, dispatch=_passes),)])
async def test_a_response_that_does_not_end_is_read_as_it_comes(middleware: tuple[Middleware, ...]) -> None:
    seen = []
    async with client(*middleware) as made, made.stream("GET", "/endless") as response:
        async for line in response.aiter_lines():
            seen.append(line)
            if len(seen) == 5:
                break
        assert EVENTS.count("closed") == 0

    assert seen == ["data: 0", "", "data: 1", "", "data: 2"]
    assert EVENTS[-1] == "closed"
    assert len(EVENTS) < 8, "the application does not run ahead of its client"


async def test_one_that_nobody_closes_ends_with_the_client() -> None:
    async with client() as made:
        request = made.build_request("GET", "/endless")
        response = await made.send(request, stream=True)
        assert response.status_code == 200

    assert EVENTS[-1] == "closed"


async def test_what_the_client_sends_comes_in_chunks() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 1000

    async with client() as made:
        assert (await made.post("/upload", content=body())).text == "3000"
        assert (await made.post("/upload", content=b"y" * 10)).text == "10"
        assert (await made.post("/upload")).text == "0"


async def test_what_is_done_in_the_background_is_done_when_the_answer_is_there() -> None:
    async with client() as made:
        assert (await made.get("/background")).text == "answered"
        assert EVENTS == ["done"]


async def test_an_error_in_the_middle_of_a_response_reaches_who_reads_it() -> None:
    async with client() as made:
        with pytest.raises(ValueError, match="in the middle"):
            await made.get("/late")
    async with client(raises=False) as made:
        assert (await made.get("/late")).text == "one"


async def test_a_request_that_is_cancelled_is_cancelled_in_the_application() -> None:
    async with client() as made:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await made.get("/waits")

    assert EVENTS == ["cancelled"]


async def test_a_head_request_has_no_body() -> None:
    async with client() as made:
        response = await made.head("/background")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "8"
