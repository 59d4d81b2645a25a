"""Users in PostgreSQL: one account per address, whatever its case."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import EmailTakenError
from service.models import Task, User
from service.pagination import Cursor, PageRequest
from service.users.repository import UserRepository

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def users(db_session: AsyncSession) -> UserRepository:
    return UserRepository(db_session)


def new_user(email: str = "ada@example.org", name: str = "Ada") -> User:
    return User(email=email, name=name, password_hash="-")


async def test_an_added_user_can_be_found_by_id_and_by_address(users: UserRepository) -> None:
    ada = await users.add(new_user("Ada@Example.org"))

    assert await users.get(ada.id) is ada
    assert await users.by_email("Ada@Example.org") is ada


async def test_an_address_is_found_whatever_its_case_and_kept_as_it_was_written(
    users: UserRepository,
) -> None:
    await users.add(new_user("Ada@Example.org"))

    found = await users.by_email("aDA@eXAMPLE.ORG")

    assert found is not None
    assert found.email == "Ada@Example.org"


@pytest.mark.parametrize("email", ["grace@example.org", "", "ada@example.org\x00", "%@example.org"])
async def test_an_address_that_nobody_has_finds_nobody(users: UserRepository, email: str) -> None:
    await users.add(new_user("ada@example.org"))

    assert await users.by_email(email) is None


async def test_an_id_that_nobody_has_finds_nobody(users: UserRepository) -> None:
    assert await users.get(UUID(int=0)) is None


async def test_a_taken_address_is_refused_and_the_session_goes_on(
    users: UserRepository, db_session: AsyncSession
) -> None:
    await users.add(new_user("ada@example.org"))

    with pytest.raises(EmailTakenError):
        await users.add(new_user("ADA@example.org", "Another Ada"))
    await users.add(new_user("grace@example.org", "Grace"))
    await db_session.commit()

    names = await db_session.scalars(select(User.name).order_by(User.name))
    assert names.all() == ["Ada", "Grace"]


async def test_another_broken_constraint_is_not_taken_for_a_taken_address(users: UserRepository) -> None:
    with pytest.raises(DBAPIError, match="ck_users_name_not_blank"):
        await users.add(new_user(name=" "))


async def test_a_page_goes_by_the_time_of_joining_then_by_id(
    users: UserRepository, make_user: Callable[..., Awaitable[User]]
) -> None:
    await make_user("Late", created_at=NOON + timedelta(seconds=1))
    await make_user("Second", created_at=NOON, id=UUID(int=2))
    await make_user("First", created_at=NOON, id=UUID(int=1))

    everybody = await users.page(PageRequest())
    after_first = await users.page(PageRequest(after=Cursor(NOON, UUID(int=1))))

    assert [user.name for user in everybody] == ["First", "Second", "Late"]
    assert [user.name for user in after_first] == ["Second", "Late"]


async def test_a_page_has_one_row_too_many_where_there_are_more(
    users: UserRepository, make_user: Callable[..., Awaitable[User]]
) -> None:
    for name in ("Ada", "Grace", "Mary"):
        await make_user(name)

    assert len(await users.page(PageRequest(limit=1))) == 2


async def test_a_deleted_user_takes_their_tasks_along(
    ada: User, make_task: Callable[..., Awaitable[object]], db_session: AsyncSession
) -> None:
    await make_task(ada)

    await db_session.delete(ada)
    await db_session.commit()

    assert (await db_session.execute(select(func.count(Task.id)))).scalar_one() == 0
