"""Couriers that deliver what is in the test's database to a receiver of the test's own."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from pgharness.fixtures import Database
from service.models import Delivery, User, Webhook
from service.settings import WorkerSettings
from service.webhooks import targets
from service.webhooks.service import rules
from service.worker.deliveries import Courier
from service.worker.sender import Sender
from tests.support.factories import MakeDelivery, MakeWebhook
from tests.support.receiver import Receiver, receiving

NewCourier = Callable[..., Courier]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def engine(pg_database: Database) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(pg_database.asyncpg_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def new_courier(engine: AsyncEngine, pg_database: Database) -> AsyncIterator[NewCourier]:
    """Make a courier; what is said sets settings, by what names are looked up, and who is believed by TLS."""
    async with AsyncExitStack() as stack:

        def make(
            resolve: targets.Resolve = targets.resolve, tls: ssl.SSLContext | None = None, **chosen: object
        ) -> Courier:
            values = {"webhook_timeout": 5, "webhook_private_targets": True, **chosen}
            url = SecretStr(pg_database.asyncpg_url)
            settings = WorkerSettings.model_validate({"database_url": url, **values})
            sender = Sender(rules(settings), resolve, timeout=settings.webhook_timeout, tls=tls)
            stack.push_async_exit(sender)
            return Courier(async_sessionmaker(engine, expire_on_commit=False), sender, settings)

        yield make


async def outcome(db_session: AsyncSession) -> tuple[str, int, str | None]:
    """State, attempts and last error of the only delivery."""
    row = (await db_session.execute(select(Delivery.state, Delivery.attempts, Delivery.last_error))).one()
    return row.state, row.attempts, row.last_error


async def leads_home(host: str, port: int) -> list[targets.Address]:
    """A name server that says that ``hooks.example.org`` is this machine."""
    assert host == "hooks.example.org"
    return [ipaddress.ip_address("127.0.0.1")]


@pytest.fixture
async def webhook(ada: User, make_webhook: MakeWebhook, receiver: Receiver) -> Webhook:
    return await make_webhook(owner_id=ada.id, url=receiver.url)


@pytest.fixture
async def due(webhook: Webhook, make_delivery: MakeDelivery) -> Delivery:
    """A message that is due at `NOON`."""
    return await make_delivery(webhook_id=webhook.id, due_at=NOON)
