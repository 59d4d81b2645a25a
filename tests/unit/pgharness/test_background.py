"""The harness's own event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from pgharness.server.background import BackgroundLoop


@pytest.fixture
def background() -> Iterator[BackgroundLoop]:
    made = BackgroundLoop()
    yield made
    made.stop()


async def where() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    return asyncio.get_running_loop(), threading.current_thread()


def test_it_runs_on_one_loop_in_a_daemon_thread_of_its_own(background: BackgroundLoop) -> None:
    (loop, thread), again = background.run(where()), background.run(where())

    assert again == (loop, thread)
    assert loop is background.loop
    assert (thread.name, thread.daemon) == ("pgharness", True)
    assert thread is not threading.current_thread()


async def test_it_serves_callers_on_a_loop_of_their_own(background: BackgroundLoop) -> None:
    loop, _ = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(where(), background.loop))

    assert loop is not asyncio.get_running_loop()


def test_an_error_comes_back_to_the_caller(background: BackgroundLoop) -> None:
    async def fail() -> None:
        raise ValueError("there")

    with pytest.raises(ValueError, match="there"):
        background.run(fail())


def test_what_takes_too_long_is_cancelled(background: BackgroundLoop) -> None:
    cancelled = threading.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        background.run(wait(), timeout=0.001)

    assert cancelled.wait(5)


def test_it_stops_and_starts_again_when_needed(background: BackgroundLoop) -> None:
    loop, thread = background.run(where())

    background.stop()
    background.stop()

    assert loop.is_closed()
    assert not thread.is_alive()
    assert background.run(where())[0] is not loop


def test_threads_that_ask_at_once_get_the_same_loop(background: BackgroundLoop) -> None:
    barrier = threading.Barrier(8)
    loops: list[asyncio.AbstractEventLoop] = []

    def ask() -> None:
        barrier.wait(5)
        loops.append(background.loop)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert loops == [background.loop] * 8
