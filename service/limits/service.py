import dataclasses
import hashlib
import ipaddress
import math
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy import case
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from service import clock
from service.errors import TooManyRequestsError
from service.limits.models import RateLimit
from service.settings import Settings

SITE = 64
"""Bits of an IPv6 address that one customer of a provider cannot choose."""


@dataclasses.dataclass(frozen=True, slots=True)
class RateLimiter:
    """So many hits in a fixed window, which begins with the first of them."""

    session_maker: async_sessionmaker[AsyncSession]
    most: int
    window: timedelta

    @classmethod
    def of(cls, settings: Settings, session_maker: async_sessionmaker[AsyncSession]) -> Self:
        window = timedelta(seconds=settings.auth_rate_window)
        return cls(session_maker, settings.auth_rate_limit, window)

    async def hit(self, action: str, subject: str) -> None:
        """Count once more that ``subject`` did ``action``, in a transaction of its own: failures count too.

        Raises:
            TooManyRequestsError: It was too often; counted all the same.
        """
        now = clock.now()
        async with self.session_maker.begin() as session:
            hits, window_ends_at = await _count(session, key_of(action, subject), now, now + self.window)
        if hits > self.most:
            raise TooManyRequestsError(math.ceil((window_ends_at - now).total_seconds()))


async def _count(
    session: AsyncSession, key: bytes, now: datetime, new_window_ends_at: datetime
) -> tuple[int, datetime]:
    """One statement, so that no two requests can count the same hit."""
    is_over = RateLimit.window_ends_at <= now
    first = insert(RateLimit).values(key=key, hits=1, window_ends_at=new_window_ends_at)
    query = first.on_conflict_do_update(
        index_elements=[RateLimit.key],
        set_={
            "hits": case((is_over, 1), else_=RateLimit.hits + 1),
            "window_ends_at": case((is_over, new_window_ends_at), else_=RateLimit.window_ends_at),
        },
    ).returning(RateLimit.hits, RateLimit.window_ends_at)
    row = (await session.execute(query)).one()
    return row.hits, row.window_ends_at


def key_of(action: str, subject: str) -> bytes:
    return hashlib.sha256(f"{action}\x00{subject}".encode(errors="replace")).digest()


def site_of(host: str) -> str:
    """What counts as one client: an IPv4 address, the network of an IPv6 address, another name as it is."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address.packed[: SITE // 8] + bytes(16 - SITE // 8), SITE)))
    return str(address)
