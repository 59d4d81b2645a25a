"""How an `httpx.AsyncClient` talks to an application in its own process, one chunk at a time.

httpx's `ASGITransport` collects a response before it hands it out, so it never answers where a response does
not end. Here the application runs in a task beside the request, as under a server, and is told when the
client has left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import httpx

from pgharness.web.app import Lifespan
from pgharness.web.loops import run_on

_LEAVE_SECONDS = 5.0
"""How long the application has to notice that its client has left, before its task is cancelled."""


class AppTransport(httpx.AsyncBaseTransport):
    """Runs the application for each request, its lifespan around all of them.

    Args:
        app: The ASGI application.
        lifespan: Its lifespan, started by the first request if nobody has before.
        raise_app_exceptions: Whether what the application raises reaches the test, or is a 500.
    """

    def __init__(self, app: Any, lifespan: Lifespan, *, raise_app_exceptions: bool = True) -> None:
        self.lifespan = lifespan
        self._app = app
        self._raises = raise_app_exceptions
        self._open: set[_Exchange] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hand out the response once the application has begun it; its body comes while it is read.

        Raises:
            Exception: What the application raises before that, if it is to reach the test.
        """
        await self.lifespan.start()
        self._loop = asyncio.get_running_loop()
        exchange = _Exchange(self._app, self._scope(request), request, self._open.discard)
        self._open.add(exchange)
        try:
            await exchange.begun()
        except asyncio.CancelledError:
            await exchange.cancel()
            raise
        if exchange.failure is not None and self._raises:
            raise exchange.failure
        exchange.raises = self._raises
        return httpx.Response(exchange.status, headers=exchange.headers, stream=exchange)

    async def aclose(self) -> None:
        """Leave the responses that nobody has read to their end."""
        for exchange in list(self._open):
            await exchange.aclose()

    def leave(self) -> None:
        """As `aclose`, from synchronous code."""
        if self._open:
            run_on(self._loop, self.aclose(), 2 * _LEAVE_SECONDS)

    def _scope(self, request: httpx.Request) -> dict[str, Any]:
        url = request.url
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": ("127.0.0.1", 123),
            "root_path": "",
            "state": dict(self.lifespan.state),
        }


class _Exchange(httpx.AsyncByteStream):
    """One request and its response, whose body is read from here."""

    def __init__(self, app: Any, scope: dict[str, Any], request: httpx.Request, ended: Any) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.failure: BaseException | None = None
        self.raises = False
        self._request = request
        self._ended = ended
        self._body = aiter(request.stream) if isinstance(request.stream, httpx.AsyncByteStream) else None
        self._chunks: deque[bytes] = deque()
        self._is_complete = False
        self._left = asyncio.Event()
        """Set when the client has gone, or has the whole response."""
        self._begun = asyncio.Event()
        self._given, self._taken = asyncio.Event(), asyncio.Event()
        self._task = asyncio.create_task(self._run(app, scope))

    # -- the application's side -----------------------------------------------------------------------

    async def _run(self, app: Any, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - raised where the response is waited for
            self.failure = error
        finally:
            self._left.set()
            self._begun.set()
            self._given.set()

    async def _receive(self) -> dict[str, Any]:
        if self._body is None:
            await self._left.wait()
            return {"type": "http.disconnect"}
        try:
            return {"type": "http.request", "body": await anext(self._body), "more_body": True}
        except StopAsyncIteration:
            self._body = None
            return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
            self._begun.set()
        elif message["type"] == "http.response.body":
            self._is_complete = not message.get("more_body", False)
            if (chunk := message.get("body", b"")) and self._request.method != "HEAD":
                self._chunks.append(bytes(chunk))
            self._given.set()
            if self._is_complete:
                self._left.set()
            while self._chunks and not self._left.is_set():  # as much as the client takes
                self._taken.clear()
                await self._taken.wait()

    # -- the client's side ----------------------------------------------------------------------------

    async def begun(self) -> None:
        """Wait for the status and the headers, or for the application to fail."""
        await self._begun.wait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self._task.done() or self._chunks:
            while self._chunks:
                yield self._chunks.popleft()
                self._taken.set()
            if self._is_complete:
                await asyncio.wait([self._task])  # what the application does in the background, too
            elif not self._task.done():
                self._given.clear()
                await self._given.wait()
        if self.failure is not None and self.raises:
            raise self.failure

    async def aclose(self) -> None:
        self._left.set()
        self._taken.set()
        if not self._task.done():
            await asyncio.wait([self._task], timeout=_LEAVE_SECONDS)
        await self.cancel()
        self._ended(self)

    async def cancel(self) -> None:
        """End the application's task."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
