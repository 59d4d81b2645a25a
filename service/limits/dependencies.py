from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from service.dependencies import ResourcesDep
from service.limits.service import RateLimiter, site_of


async def get_limiter(resources: ResourcesDep) -> RateLimiter:
    return resources.limiter


RateLimiterDep = Annotated[RateLimiter, Depends(get_limiter)]


def limited(action: str) -> Callable[..., Awaitable[None]]:
    """A dependency that counts how often a client does ``action``.

    The client is the peer of the connection. Behind a proxy uvicorn takes it from X-Forwarded-For, if
    ``FORWARDED_ALLOW_IPS`` names that proxy.
    """

    async def count(request: Request, limiter: RateLimiterDep) -> None:
        await limiter.hit(action, site_of(request.client.host) if request.client else "")

    return count
