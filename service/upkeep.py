"""Removing what has expired. Nothing waits for it: expired rows have no effect while they are there."""

import asyncio
import logging
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from service import clock
from service.auth.models import LoginSession
from service.database import UNAVAILABLE
from service.idempotency.models import IdempotencyKey
from service.limits.models import RateLimit
from service.webhooks.events import State
from service.webhooks.models import Delivery

DELIVERIES_KEPT = timedelta(days=30)

logger = logging.getLogger(__name__)


async def remove_expired(session: AsyncSession, now: datetime) -> None:
    """Delete sessions, idempotency keys, rate limits and ended deliveries whose time is over."""
    await session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.expires_at <= now))
    await session.execute(delete(RateLimit).where(RateLimit.window_ends_at <= now))
    ended = Delivery.state != State.PENDING
    await session.execute(delete(Delivery).where(ended, Delivery.updated_at <= now - DELIVERIES_KEPT))


async def keep_up(session_maker: async_sessionmaker[AsyncSession], interval: float) -> None:
    """Remove what has expired every ``interval`` seconds, until cancelled. After a failure it goes on."""
    while True:
        await asyncio.sleep(interval)
        try:
            async with session_maker.begin() as session:
                await remove_expired(session, clock.now())
        except UNAVAILABLE as error:
            logger.warning("what has expired could not be removed", extra={"error": type(error).__name__})
