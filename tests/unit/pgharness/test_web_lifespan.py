"""The lifespan of an app: run once, in a task of its own, and heard when it fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pgharness.errors import AppError
from pgharness.web.app import Lifespan
from pgharness.web.transport import AppTransport


class Journal:
    """A Starlette application that writes down what happens in its lifespan."""

    def __init__(self, *, startup: str = "", shutdown: str = "", tasks: bool = False) -> None:
        self.events: list[str] = []
        self.fail_startup = startup
        self.fail_shutdown = shutdown
        self.tasks = tasks
        self.app = Starlette(lifespan=self.lifespan, routes=[Route("/state", self.state)])

    @contextlib.asynccontextmanager
    async def lifespan(self, _: object) -> AsyncIterator[dict[str, Any]]:
        if self.fail_startup:
            raise ValueError(self.fail_startup)
        self.events.append("startup")
        async with asyncio.TaskGroup() if self.tasks else contextlib.nullcontext():
            yield {"pool": "a pool", "requests": []}
        self.events.append("shutdown")
        if self.fail_shutdown:
            raise ValueError(self.fail_shutdown)

    async def state(self, request: Request) -> JSONResponse:
        request.state.seen = [*getattr(request.state, "seen", []), 1]
        return JSONResponse({"pool": request.state.pool, "seen": request.state.seen})


@pytest.fixture
def loop() -> Any:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


@pytest.mark.parametrize("tasks", [False, True])
def test_it_starts_once_and_ends_in_its_own_task(loop: asyncio.AbstractEventLoop, *, tasks: bool) -> None:
    journal = Journal(tasks=tasks)
    lifespan = Lifespan(journal.app)

    loop.run_until_complete(lifespan.start())
    loop.run_until_complete(lifespan.start())
    assert journal.events == ["startup"]
    lifespan.stop()
    lifespan.stop()

    assert journal.events == ["startup", "shutdown"]


def test_it_can_be_started_again(loop: asyncio.AbstractEventLoop) -> None:
    journal = Journal()
    lifespan = Lifespan(journal.app)
    for _ in range(2):
        loop.run_until_complete(lifespan.start())
        lifespan.stop()

    assert journal.events == ["startup", "shutdown"] * 2


def test_stop_without_start_does_nothing() -> None:
    journal = Journal()

    Lifespan(journal.app).stop()

    assert journal.events == []


def test_several_may_ask_for_the_start_at_once(loop: asyncio.AbstractEventLoop) -> None:
    journal = Journal()
    lifespan = Lifespan(journal.app)

    async def ask() -> None:
        await asyncio.gather(lifespan.start(), lifespan.start())

    loop.run_until_complete(ask())
    lifespan.stop()

    assert journal.events == ["startup", "shutdown"]


def test_a_startup_that_fails_is_told_to_everybody_who_asks_and_not_again_at_the_end(
    loop: asyncio.AbstractEventLoop,
) -> None:
    lifespan = Lifespan(Journal(startup="no pool").app)

    for _ in range(2):
        with pytest.raises(AppError) as caught:
            loop.run_until_complete(lifespan.start())
        assert str(caught.value) == str(AppError.lifespan_failed("startup", "ValueError: no pool"))
    lifespan.stop()


def test_a_startup_that_nobody_has_waited_for_is_told_at_the_end(loop: asyncio.AbstractEventLoop) -> None:
    lifespan = Lifespan(Journal(startup="no pool").app)

    async def ask_and_leave() -> None:
        asking = asyncio.create_task(lifespan.start())
        await asyncio.sleep(0)  # it has begun, and waits
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    loop.run_until_complete(ask_and_leave())

    with pytest.raises(AppError, match="during startup: ValueError: no pool"):
        lifespan.stop()


def test_a_shutdown_that_fails_is_told_once(loop: asyncio.AbstractEventLoop) -> None:
    lifespan = Lifespan(Journal(shutdown="pool is gone").app)
    loop.run_until_complete(lifespan.start())

    with pytest.raises(AppError) as caught:
        lifespan.stop()
    lifespan.stop()

    assert str(caught.value) == str(AppError.lifespan_failed("shutdown", "ValueError: pool is gone"))


Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def test_an_application_that_knows_no_lifespan_needs_none(loop: asyncio.AbstractEventLoop) -> None:
    async def app(scope: Any, receive: Receive, send: Any) -> None:
        assert scope["type"] == "http", "no lifespan here"

    lifespan = Lifespan(app)

    loop.run_until_complete(lifespan.start())
    lifespan.stop()


def test_an_application_that_raises_in_its_shutdown_without_a_message_is_heard(
    loop: asyncio.AbstractEventLoop,
) -> None:
    async def app(scope: Any, receive: Receive, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise ValueError("at the end")

    lifespan = Lifespan(app)
    loop.run_until_complete(lifespan.start())

    with pytest.raises(AppError) as caught:
        lifespan.stop()

    assert str(caught.value) == str(AppError.lifespan_failed("shutdown", "ValueError: at the end"))


def test_a_failure_without_a_message_says_so(loop: asyncio.AbstractEventLoop) -> None:
    async def app(scope: Any, receive: Receive, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed"})

    with pytest.raises(AppError) as caught:
        loop.run_until_complete(Lifespan(app).start())

    assert str(caught.value) == str(AppError.lifespan_failed("startup", "no message"))


@pytest.mark.parametrize("tasks", [False, True])
def test_a_loop_that_ends_first_still_runs_the_shutdown(*, tasks: bool) -> None:
    journal = Journal(tasks=tasks)
    lifespan = Lifespan(journal.app)

    asyncio.run(lifespan.start())

    assert journal.events == ["startup", "shutdown"]
    lifespan.stop()


def test_a_shutdown_that_fails_with_its_loop_is_told_at_the_end() -> None:
    lifespan = Lifespan(Journal(shutdown="pool is gone").app)
    asyncio.run(lifespan.start())

    with pytest.raises(AppError, match="during shutdown: ValueError: pool is gone"):
        lifespan.stop()


async def test_requests_get_the_state_of_the_lifespan_each_a_copy() -> None:
    journal = Journal()
    lifespan = Lifespan(journal.app)
    transport = AppTransport(journal.app, lifespan)

    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        assert journal.events == []
        answers = [(await client.get("/state")).json() for _ in range(2)]
    await lifespan._stop()

    assert answers == [{"pool": "a pool", "seen": [1]}] * 2
    assert journal.events == ["startup", "shutdown"]


@pytest.mark.parametrize("raises", [True, False])
async def test_errors_of_the_application_are_raised_unless_the_client_wants_the_answer(
    *, raises: bool
) -> None:
    async def fail(request: Request) -> JSONResponse:
        raise ValueError("in the endpoint")

    app = Starlette(routes=[Route("/", fail)])
    transport = AppTransport(app, Lifespan(app), raise_app_exceptions=raises)

    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        if raises:
            with pytest.raises(ValueError, match="in the endpoint"):
                await client.get("/")
        else:
            assert (await client.get("/")).status_code == 500
    await transport.lifespan._stop()


async def test_a_client_of_an_application_that_does_not_start_gets_its_error() -> None:
    app = Journal(startup="no pool").app

    async with httpx.AsyncClient(
        transport=AppTransport(app, Lifespan(app)), base_url="http://testserver"
    ) as client:
        with pytest.raises(AppError, match="during startup: ValueError: no pool"):
            await client.get("/state")
