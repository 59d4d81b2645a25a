import dataclasses
import hashlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi.routing import APIRoute

from service import clock, problems
from service.auth.dependencies import CurrentUserDep
from service.dependencies import SessionDep
from service.idempotency.models import LONGEST_KEY
from service.idempotency.repository import Answer, IdempotencyKeyRepository

KEPT = timedelta(days=1)

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=LONGEST_KEY,
        description="Anything that is new with each request, such as a UUID. If the request is sent again"
        " with the same key within a day, the first answer is sent again and nothing else happens.",
    ),
]


class IdempotentRoute(APIRoute):
    """A route that carries out a POST once for each ``Idempotency-Key`` of a user. Needs a logged-in one.

    Only successes are kept: a request that was refused has raised and changed nothing, and may be sent
    again, mended.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        if "POST" in (options.get("methods") or ()):
            options["dependencies"] = [*(options.get("dependencies") or ()), Depends(_claim)]
            options["responses"] = {**problems.responses(409, 422), **(options.get("responses") or {})}
        super().__init__(path, endpoint, **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            try:
                response = await handle(request)
            except _AnsweredBeforeError as before:
                return before.response()
            claim: _Claim | None = getattr(request.state, "idempotency_claim", None)
            # Here the request's transaction is still open: it ends when this has returned.
            if claim is not None:
                answer = Answer(response.status_code, dict(response.headers), bytes(response.body))
                await claim.keys.keep(claim.key, answer)
            return response

        return once


@dataclasses.dataclass(frozen=True, slots=True)
class _Claim:
    keys: IdempotencyKeyRepository
    key: str


class _AnsweredBeforeError(Exception):
    """Ends a request whose answer is known, without any other effect."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        super().__init__()

    def response(self) -> Response:
        headers = {**self._answer.headers, "Idempotency-Replayed": "true"}
        return Response(self._answer.body, self._answer.status, headers)


async def _claim(request: Request, session: SessionDep, user: CurrentUserDep, key: Key = None) -> None:
    if key is None:
        return
    now = clock.now()
    keys = IdempotencyKeyRepository(session, user.id)
    answer = await keys.claim(key, await _digest_of(request), now, now + KEPT)
    if answer is not None:
        raise _AnsweredBeforeError(answer)
    request.state.idempotency_claim = _Claim(keys, key)


async def _digest_of(request: Request) -> bytes:
    head = f"{request.method} {request.url.path}?{request.url.query}\n"
    return hashlib.sha256(head.encode() + await request.body()).digest()
