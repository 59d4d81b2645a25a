"""What a request can ask for that lives longer than it: made once by the app's lifespan.

Dependencies are ``async``, also where they wait for nothing: FastAPI runs a plain
function in a thread, and a dozen hops to a thread cost a request more than its queries.
"""

import dataclasses
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from service.auth.breaches import BreachedPasswords
from service.auth.passwords import PasswordHasher
from service.auth.tokens import Tokens
from service.limits.service import RateLimiter
from service.settings import Settings


@dataclasses.dataclass(frozen=True, slots=True)
class Resources:
    """What one running app owns."""

    settings: Settings
    engine: AsyncEngine
    session_maker: async_sessionmaker[AsyncSession]
    hasher: PasswordHasher
    breached: BreachedPasswords
    tokens: Tokens
    limiter: RateLimiter


async def get_resources(request: Request) -> Resources:
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


async def get_session(resources: ResourcesDep) -> AsyncIterator[AsyncSession]:
    """The session of one request: committed if the request succeeds, rolled back if it raises."""
    async with resources.session_maker.begin() as session:
        yield session


async def get_hasher(resources: ResourcesDep) -> PasswordHasher:
    return resources.hasher


async def get_breached(resources: ResourcesDep) -> BreachedPasswords:
    return resources.breached


async def get_tokens(resources: ResourcesDep) -> Tokens:
    return resources.tokens


# With FastAPI's default scope the commit would come after the response was sent, and a client could be
# told 201 for a row that a deferred constraint then refuses.
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]
PasswordHasherDep = Annotated[PasswordHasher, Depends(get_hasher)]
BreachedPasswordsDep = Annotated[BreachedPasswords, Depends(get_breached)]
TokensDep = Annotated[Tokens, Depends(get_tokens)]
