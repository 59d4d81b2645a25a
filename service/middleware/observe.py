import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.metrics import Metrics

HEADER = "X-Request-ID"
ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")
QUIET = frozenset(("/health", "/ready", "/metrics"))
"""Routes that machines ask every few seconds: logged for debugging only."""

logger = logging.getLogger(logs.ACCESS)


class ObserveMiddleware:
    """Gives each request an id, and logs and counts it when it is answered.

    The id is the client's own where it sent one that can be logged, and comes back with the answer.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        request_id = given if ACCEPTABLE.fullmatch(given) else uuid4().hex
        logs.request_id.set(request_id)
        status = 500  # unless something better is sent

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        self.metrics.begin()
        begun = time.perf_counter()
        try:
            await self.app(scope, receive, send_with_id)
        finally:
            self._end(scope, status, time.perf_counter() - begun)

    def _end(self, scope: Scope, status: int, seconds: float) -> None:
        route: str | None = getattr(scope.get("route"), "path", None)
        self.metrics.end(scope["method"], route, status, seconds)
        about = {
            "method": scope["method"],
            "path": scope["path"],  # without the query, which may hold anything
            "route": route,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
        }
        logger.log(logging.DEBUG if route in QUIET else logging.INFO, "request", extra=about)
