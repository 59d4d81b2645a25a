"""Idempotency keys in PostgreSQL: taken once, answered once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.errors import IdempotencyKeyInUseError, IdempotencyKeyReusedError
from service.idempotency.repository import Answer, IdempotencyKeyRepository
from service.models import User

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOMORROW = NOON + timedelta(days=1)
DIGEST, OTHER_DIGEST = bytes(32), bytes(31) + b"1"
ANSWER = Answer(201, {"location": "/somewhere"}, b"{}")


@pytest.fixture
def keys(db_session: AsyncSession, ada: User) -> IdempotencyKeyRepository:
    """The keys of Ada."""
    return IdempotencyKeyRepository(db_session, ada.id)


async def test_a_new_key_has_no_answer(keys: IdempotencyKeyRepository) -> None:
    assert await keys.claim("key", DIGEST, NOON, TOMORROW) is None


async def test_a_key_has_the_answer_that_was_kept(keys: IdempotencyKeyRepository) -> None:
    await keys.claim("key", DIGEST, NOON, TOMORROW)
    await keys.keep("key", ANSWER)

    assert await keys.claim("key", DIGEST, NOON, TOMORROW) == ANSWER


async def test_a_key_without_an_answer_is_in_use(keys: IdempotencyKeyRepository) -> None:
    await keys.claim("key", DIGEST, NOON, TOMORROW)

    with pytest.raises(IdempotencyKeyInUseError):
        await keys.claim("key", DIGEST, NOON, TOMORROW)


async def test_a_key_of_another_request_is_refused(keys: IdempotencyKeyRepository) -> None:
    await keys.claim("key", DIGEST, NOON, TOMORROW)
    await keys.keep("key", ANSWER)

    with pytest.raises(IdempotencyKeyReusedError):
        await keys.claim("key", OTHER_DIGEST, NOON, TOMORROW)


async def test_a_key_that_has_expired_is_new_and_its_answer_forgotten(keys: IdempotencyKeyRepository) -> None:
    await keys.claim("key", DIGEST, NOON, TOMORROW)
    await keys.keep("key", ANSWER)

    assert await keys.claim("key", OTHER_DIGEST, TOMORROW, TOMORROW + timedelta(days=1)) is None
    with pytest.raises(IdempotencyKeyInUseError):
        await keys.claim("key", OTHER_DIGEST, TOMORROW, TOMORROW + timedelta(days=1))


async def test_nobody_has_no_keys(db_session: AsyncSession) -> None:
    nobody = IdempotencyKeyRepository(db_session, UUID(int=0))

    with pytest.raises(IntegrityError):
        await nobody.claim("key", DIGEST, NOON, TOMORROW)
