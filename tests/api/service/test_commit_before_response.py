"""A success is told only once it is committed, and a failure leaves nothing behind."""

from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.dependencies import CurrentUserDep
from service.dependencies import SessionDep
from service.models import Task, User
from service.tasks.repository import TaskRepository
from service.tasks.schemas import TaskDraft, TaskRead
from service.tasks.service import TaskService, task_service
from service.webhooks.outbox import Outbox
from tests.support.people import AsUser

UNIQUE_AT_COMMIT = "ALTER TABLE tasks ADD CONSTRAINT uq_title UNIQUE (title) DEFERRABLE INITIALLY DEFERRED"


@pytest.fixture
def pg_client_options() -> dict[str, Any]:
    """A crash of the app is an answer with status 500, as it is in production."""
    return {"raise_app_exceptions": False}


@pytest.fixture(autouse=True)
def logged_in(as_user: AsUser, ada: User) -> None:
    as_user(ada)


async def stored_titles(db_session: AsyncSession) -> list[str]:
    return list((await db_session.scalars(select(Task.title).order_by(Task.title))).all())


async def test_what_a_request_wrote_is_there_when_it_answers(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    response = await client.post("/api/v1/tasks", json={"title": "Write the report"})

    assert response.status_code == 201
    assert await stored_titles(db_session) == ["Write the report"]


async def test_a_commit_that_fails_is_never_answered_with_success(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    await db_session.execute(text(UNIQUE_AT_COMMIT))
    await db_session.commit()
    first = await client.post("/api/v1/tasks", json={"title": "Write the report"})

    second = await client.post("/api/v1/tasks", json={"title": "Write the report"})

    assert (first.status_code, second.status_code) == (201, 500)
    assert second.headers["content-type"] == "application/problem+json"
    assert second.json() == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "The service failed to answer this request.",
        "instance": "/api/v1/tasks",
    }
    assert await stored_titles(db_session) == ["Write the report"]


async def test_a_request_that_breaks_after_it_wrote_leaves_nothing(
    app: FastAPI, client: AsyncClient, db_session: AsyncSession
) -> None:
    def breaks_after_writing(session: SessionDep, user: CurrentUserDep) -> TaskService:
        class Breaking(TaskService):
            async def create(self, draft: TaskDraft) -> TaskRead:
                await super().create(draft)
                raise ArithmeticError

        return Breaking(TaskRepository(session, user.id), Outbox(session))

    app.dependency_overrides[task_service] = breaks_after_writing

    response = await client.post("/api/v1/tasks", json={"title": "Half done"})

    assert response.status_code == 500
    assert await stored_titles(db_session) == []


async def test_the_request_after_a_broken_one_is_not_affected(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    await db_session.execute(text(UNIQUE_AT_COMMIT))
    await db_session.commit()
    for _ in range(2):
        await client.post("/api/v1/tasks", json={"title": "Twice"})

    response = await client.post("/api/v1/tasks", json={"title": "Afterwards"})

    assert response.status_code == 201
    assert await stored_titles(db_session) == ["Afterwards", "Twice"]
