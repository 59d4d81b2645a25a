from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, func, select, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.database import violated_constraint
from service.errors import EmailTakenError
from service.pagination import PageRequest
from service.users.models import EMAIL_IS_UNIQUE, User

FIRST_USER_LOCK = 0x7461736B
"""The key of the advisory lock under which the first user is made."""

ANYBODY = select(exists(select(User.id)))


class UserRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, user: User) -> User:
        """Insert ``user``.

        Raises:
            EmailTakenError: Somebody has that address, whatever its case. Nothing was inserted, and the
                session goes on.
        """
        try:
            async with self._session.begin_nested():
                self._session.add(user)
        except IntegrityError as error:
            if violated_constraint(error) == EMAIL_IS_UNIQUE:
                raise EmailTakenError from None
            raise
        return user

    async def will_be_first(self) -> bool:
        """Whether there is no user yet; if so, nobody else is told that until this transaction ends."""
        if await self._session.scalar(ANYBODY):
            return False
        await self._session.execute(select(func.pg_advisory_xact_lock(FIRST_USER_LOCK)))
        return not await self._session.scalar(ANYBODY)

    async def get(self, user_id: UUID) -> User | None:
        return await self._session.get(User, user_id)

    async def set_password_hash(self, user_id: UUID, password_hash: str) -> None:
        query = update(User).where(User.id == user_id).values(password_hash=password_hash)
        await self._session.execute(query)

    async def by_email(self, email: str) -> User | None:
        """The user of an address, whatever its case."""
        if "\x00" in email:  # PostgreSQL refuses to compare with it
            return None
        query = select(User).where(func.lower(User.email) == func.lower(email))
        return (await self._session.scalars(query)).one_or_none()

    async def page(self, request: PageRequest) -> Sequence[User]:
        """One row more than ``request.limit``, where there are so many; those who came first, first."""
        query = select(User).order_by(User.created_at, User.id).limit(request.limit + 1)
        if request.after is not None:
            query = query.where(
                tuple_(User.created_at, User.id) > tuple_(request.after.created_at, request.after.id)
            )
        return (await self._session.scalars(query)).all()
