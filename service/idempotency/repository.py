import dataclasses
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from service.database import LOCK_NOT_AVAILABLE, sqlstate
from service.errors import IdempotencyKeyInUseError, IdempotencyKeyReusedError
from service.idempotency.models import IdempotencyKey


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What is sent again."""

    status: int
    headers: dict[str, str]
    body: bytes


class IdempotencyKeyRepository:
    """The keys of one user, in the transaction of the request that came with one."""

    def __init__(self, session: AsyncSession, user_id: UUID) -> None:
        self._session = session
        self._user_id = user_id

    async def claim(self, key: str, digest: bytes, now: datetime, expires_at: datetime) -> Answer | None:
        """Take ``key`` for a request; what is returned was answered to the same request before.

        While another transaction has taken it, this waits for its end.

        Raises:
            IdempotencyKeyInUseError: That took longer than ``lock_timeout``.
            IdempotencyKeyReusedError: The key was another request's.
        """
        new = insert(IdempotencyKey).values(
            user_id=self._user_id, key=key, request_digest=digest, expires_at=expires_at
        )
        query = new.on_conflict_do_update(
            index_elements=[IdempotencyKey.user_id, IdempotencyKey.key],
            set_={
                "request_digest": new.excluded.request_digest,
                "expires_at": new.excluded.expires_at,
                "status": None,
            },
            where=IdempotencyKey.expires_at <= now,
        ).returning(IdempotencyKey.key)
        try:
            taken = (await self._session.execute(query)).scalar_one_or_none()
        except DBAPIError as error:
            if sqlstate(error) == LOCK_NOT_AVAILABLE:
                raise IdempotencyKeyInUseError from None
            raise
        return None if taken is not None else await self._answer(key, digest)

    async def _answer(self, key: str, digest: bytes) -> Answer:
        query = select(
            IdempotencyKey.request_digest, IdempotencyKey.status, IdempotencyKey.headers, IdempotencyKey.body
        ).where(IdempotencyKey.user_id == self._user_id, IdempotencyKey.key == key)
        row = (await self._session.execute(query)).one_or_none()
        if row is None or row.status is None:  # removed since, or not answered yet
            raise IdempotencyKeyInUseError
        if row.request_digest != digest:
            raise IdempotencyKeyReusedError
        return Answer(row.status, row.headers, row.body)

    async def keep(self, key: str, answer: Answer) -> None:
        """Store what the request was answered with."""
        query = update(IdempotencyKey).where(
            IdempotencyKey.user_id == self._user_id, IdempotencyKey.key == key
        )
        await self._session.execute(query.values(**dataclasses.asdict(answer)))
