from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

from service.auth.models import LoginSession, RefreshToken
from service.users.models import User


class LoginRepository:
    """Logins and their refresh tokens."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def start(self, user_id: UUID, expires_at: datetime) -> LoginSession:
        login = LoginSession(user_id=user_id, expires_at=expires_at)
        self._session.add(login)
        await self._session.flush()
        return login

    async def add_token(self, login: LoginSession, digest: bytes) -> None:
        self._session.add(RefreshToken(session_id=login.id, digest=digest))
        await self._session.flush()

    async def token(self, digest: bytes) -> RefreshToken | None:
        """The token with its session, both locked: of two requests with one token the second sees it used."""
        query = (
            select(RefreshToken)
            .join(RefreshToken.session)
            .options(contains_eager(RefreshToken.session))
            .where(RefreshToken.digest == digest)
            .with_for_update()
        )
        return (await self._session.scalars(query)).one_or_none()

    async def end(self, login_id: UUID, now: datetime) -> None:
        """End one session; nothing if it has ended."""
        query = update(LoginSession).where(LoginSession.id == login_id, LoginSession.ended_at.is_(None))
        await self._session.execute(query.values(ended_at=now))

    async def end_all(self, user_id: UUID, now: datetime) -> None:
        """End every session of a user."""
        query = update(LoginSession).where(LoginSession.user_id == user_id, LoginSession.ended_at.is_(None))
        await self._session.execute(query.values(ended_at=now))

    async def user_of(self, login_id: UUID, user_id: UUID, now: datetime) -> User | None:
        """The user, if the session is theirs and goes on."""
        query = (
            select(User)
            .join(LoginSession, LoginSession.user_id == User.id)
            .where(
                LoginSession.id == login_id,
                User.id == user_id,
                LoginSession.ended_at.is_(None),
                LoginSession.expires_at > now,
            )
        )
        return (await self._session.scalars(query)).one_or_none()

    async def commit(self) -> None:
        """Keep what was done, whatever becomes of the request."""
        await self._session.commit()
