from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import problems


class FailureMiddleware:
    """Answers what nobody expected with a problem, and raises it again for the server to log.

    Starlette would answer outside of all middleware: without the headers that the others add.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_and_know(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_know)
        except Exception:
            if scope["type"] == "http" and not begun:
                await problems.unexpected(Request(scope))(scope, receive, send)
            raise
