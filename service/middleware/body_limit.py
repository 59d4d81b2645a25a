from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import problems


class BodyLimitMiddleware:
    """Refuses bodies of more than ``most`` bytes.

    With a Content-Length before any of it is read, without one as soon as more has come. FastAPI's
    ``max_body_size`` does as much, and answers with plain text where this has a problem.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app = app
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared) > self.most:
            response = problems.http_exception(Request(scope), problems.BodyTooLargeError(self.most))
            await response(scope, receive, send)
            return
        size = 0

        async def receive_some() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.most:
                raise problems.BodyTooLargeError(self.most)
            return message

        await self.app(scope, receive_some, send)
