"""Running a coroutine on the loop that its objects belong to, from synchronous code."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

_SESSION: pytest.StashKey[asyncio.AbstractEventLoop] = pytest.StashKey()


def run_on(
    loop: asyncio.AbstractEventLoop | None, coroutine: Coroutine[Any, Any, None], timeout: float
) -> None:
    """Run ``coroutine`` on ``loop``; nothing happens if that loop has been closed.

    ``timeout`` is in seconds and holds where the loop runs in another thread.
    """
    if loop is None or loop.is_closed():
        coroutine.close()
    elif loop.is_running():
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(timeout)
    else:
        loop.run_until_complete(coroutine)


@contextlib.contextmanager
def held(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop | None]:
    """Keep the loop of an async test open until the caller's own teardown is done; yields it if known.

    pytest-asyncio's runner and anyio's are taken before anything of the caller's is set up, so
    they end after it. Under another plugin the loop may end first; what is left on it is then cut.
    """
    item, loop = request.node, None
    scope = getattr(item, "_loop_scope", None)  # pytest-asyncio 1.x
    if "event_loop" in request.fixturenames:  # pytest-asyncio before 1.0
        loop = request.getfixturevalue("event_loop")
    elif isinstance(scope, str):
        loop = request.session.stash.get(_SESSION, None) if scope == "session" else None
        if loop is None or loop.is_closed():
            with contextlib.suppress(pytest.FixtureLookupError):
                loop = request.getfixturevalue(f"_{scope}_scoped_runner").get_loop()
                if scope == "session":  # to ask pytest again for each test costs more than all else here
                    request.session.stash[_SESSION] = loop
    with contextlib.ExitStack() as stack:
        if "anyio_backend" in request.fixturenames and item.get_closest_marker("anyio"):
            stack.enter_context(_anyio_lease(request.getfixturevalue("anyio_backend")))
        yield loop


def _anyio_lease(backend: Any) -> contextlib.AbstractContextManager[Any]:
    from anyio import pytest_plugin  # noqa: PLC0415 - only where the test uses it

    name, options = pytest_plugin.extract_backend_and_options(backend)
    return pytest_plugin.get_runner(name, options)
