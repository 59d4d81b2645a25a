"""uvicorn around an application, in a thread of this process with a loop of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

from pgharness.errors import AppError
from pgharness.tiers import guard
from pgharness.web.app import Lifespan

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_UVICORN_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
_LINE = "%(asctime)s %(levelname)-8s %(name)s: %(message)s"


class ServerLog(logging.Handler):
    """What uvicorn and everybody else in the process have logged while the server ran."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter(_LINE))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def take(self, record: logging.LogRecord) -> bool:
        """Keep a record of uvicorn's, as a filter that lets nobody else have it."""
        self.handle(record)
        return False

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Hear the app's loggers as anybody does, and uvicorn's alone, from INFO on."""
        loggers = [logging.getLogger(name) for name in _UVICORN_LOGGERS]
        before = [(logger.level, logger.disabled) for logger in loggers]
        root = logging.getLogger()
        root.addHandler(self)
        for logger in loggers:
            logger.setLevel(logging.INFO)
            logger.disabled = False
            logger.addFilter(self.take)
        try:
            yield
        finally:
            for logger, (level, disabled) in zip(loggers, before, strict=True):
                logger.removeFilter(self.take)
                logger.setLevel(level)
                logger.disabled = disabled
            root.removeHandler(self)


class _Loop(asyncio.SelectorEventLoop):
    """Knows its connections, the application's own and those of its clients, to close what stays open."""

    def __init__(self) -> None:
        super().__init__()
        self.transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()

    def _make_socket_transport(self, *args: Any, **options: Any) -> asyncio.Transport:
        made: asyncio.Transport = super()._make_socket_transport(*args, **options)  # type: ignore[misc]  # the event loop's own
        self.transports.add(made)
        return made

    async def cut(self) -> None:
        """Close what is still open; at once, for the other side is gone or about to go."""
        for transport in list(self.transports):
            transport.abort()
        await asyncio.sleep(0)


class _Requests:
    """The application as uvicorn calls it: with the lifespan's state, and its requests known.

    Args:
        app: The application.
        lifespan: That of ``app``, which uvicorn itself does not run.
    """

    def __init__(self, app: Any, lifespan: Lifespan) -> None:
        self._app = app
        self._lifespan = lifespan
        self.unanswered: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = dict(self._lifespan.state)
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self._app(scope, receive, send)
            return

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                self.unanswered.discard(task)
            await send(message)

        self.unanswered.add(task)
        try:
            await self._app(scope, receive, sending)
        finally:
            self.unanswered.discard(task)


class AppServer:
    """Serves ``app`` on a free port of 127.0.0.1 between `start` and `stop`.

    Args:
        app: An ASGI application.
        start_seconds: How long its lifespan may take to start.
        stop_seconds: How long background tasks and websockets have to end, and the lifespan after them.
    """

    def __init__(
        self, app: Any, *, start_seconds: float = _START_SECONDS, stop_seconds: float = _STOP_SECONDS
    ) -> None:
        self.log = ServerLog()
        self._app = app
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._socket: socket.socket | None = None
        self._port = 0
        self._thread: threading.Thread | None = None
        self._loop: _Loop | None = None
        self._main: asyncio.Task[None] | None = None
        self._stopping: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._attached = contextlib.ExitStack()

    def start(self) -> int:
        """Return the port once the server answers there.

        Raises:
            AppError: uvicorn is not installed, or the lifespan fails or does not start in time.
        """
        config_class, server_class = _uvicorn()
        lifespan = Lifespan(self._app)
        requests = _Requests(self._app, lifespan)
        self._attached.enter_context(self.log.attached())
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._port = self._socket.getsockname()[1]
        with warnings.catch_warnings():  # which websocket library a project has is not its tests' affair
            warnings.simplefilter("ignore", DeprecationWarning)
            config = config_class(
                requests,
                host="127.0.0.1",
                port=self._port,
                log_config=None,
                lifespan="off",
                interface="asgi3",
            )
            config.load()
        arguments = (server_class(config), requests, lifespan)
        self._thread = threading.Thread(target=self._run, args=arguments, name="pgharness-live", daemon=True)
        self._thread.start()
        in_time = self._ready.wait(self._start_seconds)
        if not in_time:
            self._cancel()
        if not in_time or self._failure is not None:
            self._end()
            raise self._failure or AppError.live_server_late("start", self._start_seconds)
        return self._port

    def stop(self) -> None:
        """End the server, its connections and its thread.

        Raises:
            AppError: The lifespan fails, or something in the application does not end in time.
        """
        if self._thread is None:
            return
        if self._loop is not None and self._stopping is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._end()
        if self._failure is not None:
            raise self._failure

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        assert thread is not None and self._socket is not None  # noqa: S101, PT018 - set by start()
        thread.join(3 * self._stop_seconds)
        guard.stopped_listening(self._port)
        self._socket.close()
        self._attached.close()
        if thread.is_alive():
            self._failure = AppError.live_server_late("stop", 3 * self._stop_seconds)

    def _cancel(self) -> None:
        if self._loop is not None and self._main is not None:
            self._loop.call_soon_threadsafe(self._main.cancel)

    # -- in the thread --------------------------------------------------------------------------

    def _run(self, server: Any, requests: _Requests, lifespan: Lifespan) -> None:
        try:
            with asyncio.Runner(loop_factory=_Loop) as runner:
                runner.run(self._serve(server, requests, lifespan))
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by start() or stop()
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self, server: Any, requests: _Requests, lifespan: Lifespan) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, _Loop)  # noqa: S101 - made by _run()
        self._main, self._stopping, self._loop = asyncio.current_task(), asyncio.Event(), loop
        try:
            await lifespan.start()
            server.lifespan = server.config.lifespan_class(server.config)
            await server.startup(sockets=[self._socket])
            clock = asyncio.create_task(_tick(server))
            self._ready.set()
            await self._stopping.wait()
            clock.cancel()
            await self._drain(server, requests)
            await lifespan.end(self._stop_seconds)
        finally:
            await loop.cut()

    async def _drain(self, server: Any, requests: _Requests) -> None:
        """Accept nobody else, and end who is there: nobody waits for an answer any more."""
        for listener in server.servers:
            listener.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        for task in requests.unanswered:
            task.cancel()
        if tasks := set(server.server_state.tasks):
            _, late = await asyncio.wait(tasks, timeout=self._stop_seconds)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=self._stop_seconds)
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)


async def _tick(server: Any) -> None:
    """Have uvicorn renew the date that its answers carry."""
    while True:
        await server.on_tick(0)
        await asyncio.sleep(1)


def _uvicorn() -> tuple[Any, Any]:
    try:
        from uvicorn import Config, Server  # noqa: PLC0415 - an extra, and only tests that ask
    except ModuleNotFoundError as error:
        raise AppError.no_uvicorn(str(error.name)) from None
    return Config, Server
