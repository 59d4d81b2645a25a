from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from service.database import CHANNEL, violated_constraint
from service.errors import DeliveryNotFoundError, TooManyWebhooksError, WebhookExistsError
from service.pagination import PageRequest
from service.users.models import User
from service.webhooks.events import State
from service.webhooks.models import ONE_PER_URL, Delivery, Webhook


class WebhookRepository:
    """The webhooks of one owner: no method can touch anybody else's."""

    def __init__(self, session: AsyncSession, owner_id: UUID) -> None:
        self._session = session
        self._owner_id = owner_id

    async def add(self, url: str, encrypted_secret: str, most: int) -> Webhook:
        """Insert a webhook, unless its owner has ``most`` already.

        Raises:
            WebhookExistsError: The owner has one for this URL.
            TooManyWebhooksError: There was no room for it; nothing was inserted.
        """
        # Two at once would each count without the other's: the second waits here until the first has ended.
        await self._session.execute(
            select(User.id).where(User.id == self._owner_id).with_for_update(key_share=True)
        )
        webhook = Webhook(owner_id=self._owner_id, url=url, encrypted_secret=encrypted_secret)
        try:
            async with self._session.begin_nested():
                self._session.add(webhook)
                await self._session.flush()
                if await self._count() > most:
                    raise TooManyWebhooksError(most)
        except IntegrityError as error:
            if violated_constraint(error) == ONE_PER_URL:
                raise WebhookExistsError from None
            raise
        return webhook

    async def _count(self) -> int:
        query = select(func.count()).where(Webhook.owner_id == self._owner_id)
        return (await self._session.scalars(query)).one()

    async def get(self, webhook_id: UUID) -> Webhook | None:
        query = select(Webhook).where(Webhook.id == webhook_id, Webhook.owner_id == self._owner_id)
        return (await self._session.scalars(query)).one_or_none()

    async def page(self, request: PageRequest) -> Sequence[Webhook]:
        """One row more than ``request.limit``, where there are so many; the newest first."""
        query = (
            select(Webhook)
            .where(Webhook.owner_id == self._owner_id)
            .order_by(Webhook.created_at.desc(), Webhook.id.desc())
            .limit(request.limit + 1)
        )
        if request.after is not None:
            query = query.where(
                tuple_(Webhook.created_at, Webhook.id) < tuple_(request.after.created_at, request.after.id)
            )
        return (await self._session.scalars(query)).all()

    async def delete(self, webhook: Webhook) -> None:
        await self._session.delete(webhook)
        await self._session.flush()

    async def deliveries(self, webhook: Webhook, request: PageRequest) -> Sequence[Delivery]:
        """The same of a webhook's deliveries."""
        query = (
            select(Delivery)
            .where(Delivery.webhook_id == webhook.id)
            .order_by(Delivery.created_at.desc(), Delivery.id.desc())
            .limit(request.limit + 1)
        )
        if request.after is not None:
            query = query.where(
                tuple_(Delivery.created_at, Delivery.id) < tuple_(request.after.created_at, request.after.id)
            )
        return (await self._session.scalars(query)).all()

    async def revive(self, webhook: Webhook, delivery_id: UUID, now: datetime) -> Delivery:
        """Let a delivery that was given up be tried anew from ``now`` on.

        Raises:
            DeliveryNotFoundError: There is none that was given up.
        """
        query = (
            select(Delivery)
            .where(Delivery.webhook_id == webhook.id, Delivery.id == delivery_id)
            .where(Delivery.state == State.DEAD)
            .with_for_update()
        )
        delivery = (await self._session.scalars(query)).one_or_none()
        if delivery is None:
            raise DeliveryNotFoundError
        delivery.state, delivery.attempts, delivery.due_at = State.PENDING, 0, now
        await self._session.flush()
        await self._session.execute(select(func.pg_notify(CHANNEL, "")))
        return delivery
