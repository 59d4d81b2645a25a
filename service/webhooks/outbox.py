import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.database import CHANNEL
from service.webhooks.events import Event
from service.webhooks.models import Delivery, Webhook


class Outbox:
    """Messages that are sent if, and only if, the transaction they are written in is committed."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, owner_id: UUID, event: Event, data: Mapping[str, Any], now: datetime) -> None:
        """Leave a message for each webhook of ``owner_id``, and wake a worker if there is one."""
        body = json.dumps({"event": event, "occurred_at": now.isoformat(), **data}, separators=(",", ":"))
        rows = select(
            Webhook.id, literal(event.value), literal(body), literal(now), literal(now), literal(now)
        ).where(Webhook.owner_id == owner_id)
        columns = ["webhook_id", "event", "body", "due_at", "created_at", "updated_at"]
        written = insert(Delivery).from_select(columns, rows).returning(Delivery.id)
        if (await self._session.scalars(written)).first() is not None:
            await self._session.execute(select(func.pg_notify(CHANNEL, "")))
