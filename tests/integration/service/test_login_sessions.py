"""A refresh token in two transactions at once: the second waits, and then sees that it was used."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.auth.repository import LoginRepository
from service.models import User

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DIGEST = bytes(32)


@pytest.fixture
async def given_out(db_session: AsyncSession, ada: User) -> bytes:
    """The digest of a token of Ada's session."""
    logins = LoginRepository(db_session)
    await logins.add_token(await logins.start(ada.id, NOON + timedelta(days=30)), DIGEST)
    await db_session.commit()
    return DIGEST


@pytest.mark.pg(isolation="database")
async def test_a_token_that_is_being_used_cannot_be_used_meanwhile(
    engine: AsyncEngine, given_out: bytes
) -> None:
    async with AsyncSession(engine) as one, AsyncSession(engine) as other:
        token = await LoginRepository(one).token(given_out)
        assert token is not None
        token.used_at = NOON

        await other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            await LoginRepository(other).token(given_out)
        await other.rollback()
        await one.commit()

        seen = await LoginRepository(other).token(given_out)
        assert seen is not None
        assert seen.used_at == NOON


async def test_a_session_that_ended_keeps_the_time_of_its_end(
    db_session: AsyncSession, ada: User, given_out: bytes
) -> None:
    logins = LoginRepository(db_session)

    await logins.end_all(ada.id, NOON)
    await logins.end_all(ada.id, NOON + timedelta(hours=1))

    token = await logins.token(given_out)
    assert token is not None
    assert token.session.ended_at == NOON
