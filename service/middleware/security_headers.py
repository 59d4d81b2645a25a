from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Cache-Control": "no-store",  # of tokens RFC 6749 (5.1) asks it
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
DOCS = "/docs"
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)
"""The documentation runs scripts: the service's own, which talk to the service alone."""

ONLY_HTTPS = "max-age=63072000"
"""Two years."""


class SecurityHeadersMiddleware:
    """What a browser may make of an answer: nothing but data. A route's own header goes before these.

    Args:
        app: The app it wraps.
        https: Whether browsers must not come without TLS any more.
    """

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self.headers = {**HEADERS, "Strict-Transport-Security": ONLY_HTTPS} if https else HEADERS
        self.docs_headers = {**self.headers, "Content-Security-Policy": DOCS_POLICY}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_docs = scope["type"] == "http" and f"{scope['path']}/".startswith(f"{DOCS}/")
        wanted = self.docs_headers if is_docs else self.headers

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)
