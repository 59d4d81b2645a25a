"""The limit of webhooks for each user holds also when two are registered at once."""

import asyncio

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.errors import TooManyWebhooksError
from service.models import User, Webhook
from service.webhooks.repository import WebhookRepository
from tests.support.factories import MakeWebhook

# Two transactions race: neither may be within the other's.
pytestmark = pytest.mark.pg(isolation="database")

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def add(session: AsyncSession, owner: User, url: str) -> Webhook:
    return await WebhookRepository(session, owner.id).add(url, "whsec_", most=2)


async def test_of_two_at_once_the_second_counts_the_first(
    ada: User, make_webhook: MakeWebhook, engine: AsyncEngine, db_session: AsyncSession
) -> None:
    await make_webhook(owner_id=ada.id, url="https://one.example.org/")
    async with AsyncSession(engine) as first, AsyncSession(engine) as second:
        await add(first, ada, "https://two.example.org/")
        racing = asyncio.create_task(add(second, ada, "https://three.example.org/"))
        while not racing.done() and not await db_session.scalar(text(WAITING)):
            await db_session.commit()  # the next look sees what is there by then
        await first.commit()

        with pytest.raises(TooManyWebhooksError):
            await racing
        await second.commit()

    urls = await db_session.scalars(select(Webhook.url).order_by(Webhook.url))
    assert urls.all() == ["https://one.example.org/", "https://two.example.org/"]


async def test_who_registers_one_keeps_nobody_else_waiting(
    ada: User, grace: User, engine: AsyncEngine
) -> None:
    async with AsyncSession(engine) as first, AsyncSession(engine) as second:
        await add(first, ada, "https://one.example.org/")

        await second.execute(text("SET lock_timeout = '1ms'"))
        await add(second, grace, "https://one.example.org/")
        await second.execute(
            text("INSERT INTO tasks (owner_id, title) VALUES (:id, 'Write')"), {"id": ada.id}
        )
