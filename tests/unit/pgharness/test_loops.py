"""A coroutine on the loop that its objects belong to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from pgharness.server.background import BackgroundLoop
from pgharness.web import loops


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    made = BackgroundLoop()
    yield made
    made.stop()


class Ran:
    """Where `note` has run."""

    def __init__(self) -> None:
        self.loops: list[asyncio.AbstractEventLoop] = []

    async def note(self) -> None:
        self.loops.append(asyncio.get_running_loop())


def test_an_idle_loop_runs_it_here() -> None:
    ran = Ran()
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loops.run_on(loop, ran.note(), 1)

    assert ran.loops == [loop]


def test_a_loop_that_runs_in_another_thread_is_waited_for(background: BackgroundLoop) -> None:
    ran = Ran()

    loops.run_on(background.loop, ran.note(), 5)

    assert ran.loops == [background.loop]


def test_waiting_for_another_thread_has_an_end(background: BackgroundLoop) -> None:
    go_on = asyncio.Event()

    with pytest.raises(TimeoutError):
        loops.run_on(background.loop, go_on.wait(), 0.001)  # type: ignore[arg-type]  # wait() returns True

    background.loop.call_soon_threadsafe(go_on.set)
    background.run(asyncio.sleep(0))  # it has ended when its loop is stopped


def test_errors_come_back_to_the_caller(background: BackgroundLoop) -> None:
    async def fail() -> None:
        raise ValueError("there")

    with pytest.raises(ValueError, match="there"):
        loops.run_on(background.loop, fail(), 5)


def test_without_a_loop_nothing_runs_and_nothing_is_left_over() -> None:
    ran = Ran()
    with asyncio.Runner() as runner:
        closed = runner.get_loop()

    loops.run_on(None, ran.note(), 1)
    loops.run_on(closed, ran.note(), 1)  # a coroutine left over would be a warning, and that an error

    assert ran.loops == []


def test_a_plain_test_holds_no_loop(request: pytest.FixtureRequest) -> None:
    before = set(request.fixturenames)

    with loops.held(request):
        pass

    assert set(request.fixturenames) == before


async def test_an_async_test_holds_the_runner_of_its_scope(request: pytest.FixtureRequest) -> None:
    with loops.held(request):
        assert asyncio.get_running_loop().is_running()
