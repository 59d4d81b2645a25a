"""uvicorn that loses no request when it is told to stop: it says so first, and stops a while later."""

import asyncio
import signal
from types import FrameType

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.app import create_app
from service.health.service import Stopping
from service.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until told to stop.

    On SIGTERM ``/ready`` answers 503 and every answer closes its connection, so that load balancers
    and clients turn elsewhere; ``settings.drain_seconds`` later the server stops listening, finishes
    the requests it has and ends. Ctrl-C, or a second signal, does without the
    wait; one more does without the requests.
    """
    app = create_app(settings)
    stopping: Stopping = app.state.stopping
    logs.configure(settings)
    config = uvicorn.Config(
        CloseWhenStopping(app, stopping),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # the app writes its own
        server_header=False,
    )
    DrainingServer(config, stopping, settings.drain_seconds).run()


class DrainingServer(uvicorn.Server):
    """A server that goes on for ``drain_seconds`` after the first SIGTERM."""

    def __init__(self, config: uvicorn.Config, stopping: Stopping, drain_seconds: float) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._drain_seconds = drain_seconds

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn passes it
        """Called by the signal, between two steps of the running loop.

        uvicorn's own would raise the signal once more at the end; this way the exit code is 0.
        """
        first, self._stopping.requested = not self._stopping.requested, True
        if first and sig == signal.SIGTERM and self._drain_seconds:
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(loop.call_later, self._drain_seconds, self._stop)
        elif self.should_exit:
            self.force_exit = True
        else:
            self._stop()

    def _stop(self) -> None:
        self.should_exit = True


class CloseWhenStopping:
    """Sends ``Connection: close`` with every answer once the process has been told to stop."""

    def __init__(self, app: ASGIApp, stopping: Stopping) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and self._stopping.requested:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_and_close)
