"""The outbox: a message is there if, and only if, the change that it tells of is."""

import json
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Delivery, Task, User
from service.tasks.repository import TaskRepository
from service.tasks.schemas import TaskDraft
from service.tasks.service import TaskService
from service.webhooks.events import Event
from service.webhooks.outbox import Outbox
from tests.support.factories import MakeWebhook

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def messages(db_session: AsyncSession) -> list[tuple[str, str]]:
    rows = await db_session.execute(select(Delivery.event, Delivery.state))
    return [(event, state) for event, state in rows]


def service_of(user: User, session: AsyncSession) -> TaskService:
    return TaskService(TaskRepository(session, user.id), Outbox(session))


async def test_each_webhook_of_the_owner_and_nobody_elses_gets_a_message(
    ada: User, grace: User, make_webhook: MakeWebhook, db_session: AsyncSession
) -> None:
    wanted = {(await make_webhook(owner_id=ada.id)).id for _ in range(2)}
    await make_webhook(owner_id=grace.id)

    await Outbox(db_session).put(ada.id, Event.TASK_CREATED, {"task": {"title": "Write"}}, NOON)
    await db_session.commit()

    rows = (await db_session.scalars(select(Delivery))).all()
    assert {row.webhook_id for row in rows} == wanted
    assert [json.loads(row.body) for row in rows] == [
        {"event": "task.created", "occurred_at": "2026-03-01T12:00:00+00:00", "task": {"title": "Write"}}
    ] * 2
    assert {(row.due_at, row.attempts) for row in rows} == {(NOON, 0)}


async def test_without_a_webhook_there_is_no_message(ada: User, db_session: AsyncSession) -> None:
    await Outbox(db_session).put(ada.id, Event.TASK_CREATED, {}, NOON)

    assert await messages(db_session) == []


async def test_a_change_that_is_rolled_back_takes_its_message_along(
    ada: User, make_webhook: MakeWebhook, db_session: AsyncSession
) -> None:
    await make_webhook(owner_id=ada.id)
    tasks = service_of(ada, db_session)

    await tasks.create(TaskDraft(title="Kept"))
    await db_session.commit()
    await tasks.create(TaskDraft(title="Given up"))
    await db_session.rollback()

    assert (await db_session.scalars(select(Task.title))).all() == ["Kept"]
    assert await messages(db_session) == [("task.created", "pending")]


async def test_a_removed_webhook_takes_its_messages_along(
    ada: User, make_webhook: MakeWebhook, db_session: AsyncSession
) -> None:
    webhook = await make_webhook(owner_id=ada.id)
    await service_of(ada, db_session).create(TaskDraft(title="Write"))

    await db_session.delete(webhook)
    await db_session.commit()

    assert await messages(db_session) == []
