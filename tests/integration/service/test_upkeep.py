"""What has expired is removed, and nothing else."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, make_url, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from pgharness.fixtures import Database
from service.models import Base, Delivery, IdempotencyKey, LoginSession, RateLimit, User
from service.upkeep import keep_up, remove_expired
from tests.support.factories import MakeDelivery, MakeWebhook

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=1)


async def count(db_session: AsyncSession, model: type[Base]) -> int:
    return (await db_session.execute(select(func.count()).select_from(model))).scalar_one()


async def test_rows_go_when_their_time_is_over(ada: User, db_session: AsyncSession) -> None:
    for number, moment in enumerate([NOON, LATER]):
        digest = bytes([number]) * 32
        db_session.add(LoginSession(user_id=ada.id, expires_at=moment))
        db_session.add(RateLimit(key=digest, hits=1, window_ends_at=moment))
        db_session.add(
            IdempotencyKey(user_id=ada.id, key=f"{number}", request_digest=digest, expires_at=moment)
        )
    await db_session.commit()

    await remove_expired(db_session, NOON)
    await db_session.commit()

    assert [await count(db_session, model) for model in (LoginSession, RateLimit, IdempotencyKey)] == [
        1,
        1,
        1,
    ]
    assert await db_session.scalar(select(LoginSession.expires_at)) == LATER


async def test_deliveries_that_have_ended_go_after_thirty_days(
    ada: User, make_webhook: MakeWebhook, make_delivery: MakeDelivery, db_session: AsyncSession
) -> None:
    webhook = await make_webhook(owner_id=ada.id)
    old = NOON - timedelta(days=30)
    for state, moment in (
        ("delivered", old),
        ("dead", old),
        ("pending", old),
        ("dead", old + (LATER - NOON)),
    ):
        await make_delivery(webhook_id=webhook.id, state=state, updated_at=moment)

    await remove_expired(db_session, NOON)

    left = await db_session.scalars(select(Delivery.state).order_by(Delivery.state))
    assert left.all() == ["dead", "pending"]


@pytest.mark.pg(isolation="database")
async def test_it_happens_again_and_again(ada: User, db_session: AsyncSession) -> None:
    maker = async_sessionmaker(db_session.bind)
    upkeep = asyncio.create_task(keep_up(maker, interval=0))

    async with asyncio.timeout(10):
        for _ in range(2):
            db_session.add(LoginSession(user_id=ada.id, expires_at=NOON))
            await db_session.commit()
            while await count(db_session, LoginSession):
                pass

    assert not upkeep.done()
    upkeep.cancel()
    await asyncio.wait([upkeep])


async def test_a_database_that_is_gone_is_tried_again(
    pg_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = create_async_engine(make_url(pg_database.asyncpg_url).set(database="dropped_yesterday"))
    upkeep = asyncio.create_task(keep_up(async_sessionmaker(nowhere), interval=0))

    with caplog.at_level(logging.WARNING, "service"):
        async with asyncio.timeout(10):
            while len(caplog.records) < 2:  # noqa: ASYNC110 (there is nothing else to wait for)
                await asyncio.sleep(0)

    upkeep.cancel()
    await asyncio.wait([upkeep])
    assert {record.getMessage() for record in caplog.records} == {"what has expired could not be removed"}
