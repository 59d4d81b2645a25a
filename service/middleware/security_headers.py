from collections.abc import Collection

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",  # of tokens RFC 6749 (5.1) asks it
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ONLY_HTTPS = "max-age=63072000"
"""Two years."""


class SecurityHeadersMiddleware:
    """What a browser may make of an answer: nothing but data. A route's own header goes before these.

    Args:
        app: The app it wraps.
        pages: Paths of the documentation, which runs scripts: no Content-Security-Policy there.
        https: Whether browsers must not come without TLS any more.
    """

    def __init__(self, app: ASGIApp, *, pages: Collection[str | None], https: bool) -> None:
        self.app = app
        self.pages = pages
        self.headers = {**HEADERS, "Strict-Transport-Security": ONLY_HTTPS} if https else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    if name != "Content-Security-Policy" or scope["path"] not in self.pages:
                        headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)
