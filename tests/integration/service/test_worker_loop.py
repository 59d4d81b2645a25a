"""The worker's loop: woken by NOTIFY, by itself without, and while the database comes and goes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service import clock
from service.models import User
from service.webhooks.events import Event
from service.webhooks.outbox import Outbox
from service.webhooks.repository import WebhookRepository
from service.worker.loop import Loop
from tests.support.factories import MakeDelivery, MakeWebhook

# LISTEN and NOTIFY take part in no transaction that is rolled back.
pytestmark = pytest.mark.pg(isolation="database")

NEVER = 3600.0
LISTENER = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"


Work = Callable[[], Awaitable[bool]]
Running = Callable[..., AbstractAsyncContextManager[asyncio.Queue[None]]]


@pytest.fixture
def running(engine: AsyncEngine) -> Running:
    """A loop that runs; the queue gets an item each time that it works."""

    @asynccontextmanager
    async def run(poll: float, more: int = 0) -> AsyncIterator[asyncio.Queue[None]]:
        worked: asyncio.Queue[None] = asyncio.Queue()
        rest = iter(range(more))

        async def work() -> bool:
            worked.put_nowait(None)
            return next(rest, None) is not None

        loop = Loop(engine, work, poll=poll)
        task = asyncio.create_task(loop.run())
        try:
            yield worked
        finally:
            loop.stop()
            await task

    return run


async def listener(db_session: AsyncSession) -> int | None:
    pid: int | None = await db_session.scalar(text(LISTENER))
    await db_session.commit()
    return pid


async def test_a_message_in_the_outbox_wakes_the_worker(
    running: Running, ada: User, make_webhook: MakeWebhook, db_session: AsyncSession
) -> None:
    await make_webhook(owner_id=ada.id)
    async with running(NEVER) as worked:
        for _ in range(2):  # when it starts, and when it has begun to listen
            await asyncio.wait_for(worked.get(), 10)

        await Outbox(db_session).put(ada.id, Event.TASK_CREATED, {}, clock.now())
        await db_session.commit()

        await asyncio.wait_for(worked.get(), 10)


async def test_a_message_that_is_tried_anew_wakes_the_worker(
    running: Running,
    ada: User,
    make_webhook: MakeWebhook,
    make_delivery: MakeDelivery,
    db_session: AsyncSession,
) -> None:
    webhook = await make_webhook(owner_id=ada.id)
    dead = await make_delivery(webhook_id=webhook.id, state="dead", due_at=clock.now() + timedelta(hours=1))
    async with running(NEVER) as worked:
        for _ in range(2):  # when it starts, and when it has begun to listen
            await asyncio.wait_for(worked.get(), 10)

        now = clock.now()
        revived = await WebhookRepository(db_session, ada.id).revive(webhook, dead.id, now)
        await db_session.commit()

        await asyncio.wait_for(worked.get(), 10)
    assert (revived.state, revived.attempts, revived.due_at) == ("pending", 0, now)


async def test_without_a_notification_it_looks_now_and_then(running: Running) -> None:
    async with running(0.01) as worked:
        for _ in range(5):
            await asyncio.wait_for(worked.get(), 10)


async def test_while_there_is_more_it_does_not_rest(running: Running) -> None:
    async with running(NEVER, more=4) as worked:
        for _ in range(5):
            await asyncio.wait_for(worked.get(), 10)


async def test_a_lost_connection_is_made_anew(running: Running, db_session: AsyncSession) -> None:
    async with running(0.05) as worked:
        while (first := await listener(db_session)) is None:
            await worked.get()

        await db_session.execute(text(f"SELECT pg_terminate_backend({first})"))
        await db_session.commit()

        while await listener(db_session) in {first, None}:
            await worked.get()


async def test_work_that_the_database_refuses_is_tried_again(engine: AsyncEngine) -> None:
    tries: asyncio.Queue[int] = asyncio.Queue()

    async def work() -> bool:
        tries.put_nowait(1)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1/0"))
        return False

    loop = Loop(engine, work, poll=0.01)
    task = asyncio.create_task(loop.run())
    for _ in range(3):
        await asyncio.wait_for(tries.get(), 10)
    loop.stop()
    await task


async def test_what_is_being_done_is_finished_before_it_stops(engine: AsyncEngine) -> None:
    begun, may_end, done = asyncio.Event(), asyncio.Event(), False

    async def work() -> bool:
        nonlocal done
        begun.set()
        await may_end.wait()
        done = True
        return True

    loop = Loop(engine, work, poll=NEVER)
    task = asyncio.create_task(loop.run())
    await begun.wait()
    loop.stop()
    may_end.set()
    await task

    assert done
