"""Delivering what the outbox holds: at least once each, by as many workers as there are."""

import asyncio
import dataclasses
import logging
from datetime import datetime, timedelta

from sqlalchemy import Update, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from service import clock
from service.settings import WorkerSettings
from service.webhooks.encryption import SecretCipher, UnreadableSecretError
from service.webhooks.events import State
from service.webhooks.models import Delivery, Webhook
from service.webhooks.retries import pause
from service.worker.sender import DeliveryError, Sender

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this worker may attempt, until its lease ends."""

    delivery: Delivery
    url: str
    encrypted_secret: str


class Courier:
    """Claims what is due, sends it, and writes down what came of it.

    Between claim and result no transaction is open. A worker that dies in between leaves a row whose lease
    ends, and which is then claimed again: so a receiver may get a message twice, never not at all.
    """

    def __init__(
        self, session_maker: async_sessionmaker[AsyncSession], sender: Sender, settings: WorkerSettings
    ) -> None:
        self._session_maker = session_maker
        self._sender = sender
        self._cipher = SecretCipher.of(settings)
        self._settings = settings

    async def work(self) -> bool:
        """Deliver some of what is due. Returns whether there may be more."""
        claims = await self.claim(clock.now())
        ended = await asyncio.gather(*map(self._deliver, claims), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error  # once all have ended: a message is not given up because of another one
        return len(claims) == self._settings.webhook_batch

    async def claim(self, now: datetime) -> list[Claim]:
        """Take up to ``webhook_batch`` of what is due; other workers get what is left."""
        due = (
            select(Delivery.id)
            .where(Delivery.state == State.PENDING, Delivery.due_at <= now)
            .order_by(Delivery.due_at)
            .limit(self._settings.webhook_batch)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        take = (
            update(Delivery)
            .where(Delivery.id == due.c.id, Webhook.id == Delivery.webhook_id)
            .values(
                attempts=Delivery.attempts + 1,
                due_at=now + timedelta(seconds=self._settings.webhook_lease),
            )
            .returning(Delivery, Webhook.url, Webhook.encrypted_secret)
            .execution_options(synchronize_session=False)
        )
        async with self._session_maker.begin() as session:
            return [Claim(*row) for row in await session.execute(take)]

    async def _deliver(self, claim: Claim) -> None:
        delivery = claim.delivery
        if delivery.attempts > self._settings.webhook_attempts:
            # The last attempt never came to an end: perhaps it is what killed its worker.
            await self._failed(delivery, "no answer was written down")
            return
        try:
            secret = self._cipher.decrypt(claim.encrypted_secret)
            await self._sender.send(delivery, claim.url, secret)
        except (DeliveryError, UnreadableSecretError) as error:
            log.warning("not delivered: %s", error, extra={"delivery": str(delivery.id)})
            await self._failed(delivery, str(error))
        else:
            log.info("delivered", extra={"delivery": str(delivery.id)})
            query = update(Delivery).where(Delivery.id == delivery.id)
            await self._write(query.values(state=State.DELIVERED, last_error=None))

    async def _failed(self, delivery: Delivery, reason: str) -> None:
        """Write a failure down, unless another worker has begun another attempt."""
        settings = self._settings
        query = (
            update(Delivery)
            .where(Delivery.id == delivery.id, Delivery.attempts == delivery.attempts)
            .where(Delivery.state == State.PENDING)
            .values(last_error=reason)
        )
        if delivery.attempts >= settings.webhook_attempts:
            await self._write(query.values(state=State.DEAD))
        else:
            wait = pause(delivery.attempts, settings.webhook_first_pause, settings.webhook_longest_pause)
            await self._write(query.values(due_at=clock.now() + wait))

    async def _write(self, query: Update) -> None:
        async with self._session_maker.begin() as session:
            await session.execute(query.execution_options(synchronize_session=False))
