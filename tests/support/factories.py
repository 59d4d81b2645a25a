"""Rows to start from, made by polyfactory: a test says what matters to it, the rest is plausible.

A fixture binds a factory to the session of its test: ``await make_post(author_id=ada.id)`` inserts a post
and commits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from cryptography.fernet import Fernet, MultiFernet
from polyfactory import Ignore, Use
from polyfactory.factories.sqlalchemy_factory import SQLAlchemyFactory
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.ext.asyncio import AsyncSession

from service import clock
from service.database import Record
from service.models import Delivery, Post, Webhook
from service.settings import DEVELOPMENT_KEY
from service.webhooks.encryption import SecretCipher
from service.webhooks.events import Event, State
from service.webhooks.signature import new_secret

AnyRow = TypeVar("AnyRow", bound=Record)
Row = TypeVar("Row", Post, Webhook, Delivery)

MakePost = Callable[..., Awaitable[Post]]
MakeWebhook = Callable[..., Awaitable[Webhook]]
MakeDelivery = Callable[..., Awaitable[Delivery]]


CIPHER = SecretCipher(MultiFernet([Fernet(DEVELOPMENT_KEY.get_secret_value())]))
"""That of a service without settings of its own."""


class RowFactory(SQLAlchemyFactory[Row]):
    """What all rows have: no related rows of their own accord, and an id from PostgreSQL."""

    __is_base_factory__ = True
    __set_relationships__ = False
    __set_foreign_keys__ = False

    @classmethod
    def get_sqlalchemy_types(cls) -> dict[Any, Callable[[], Any]]:
        return {**super().get_sqlalchemy_types(), TSVECTOR: str}

    id = Ignore()
    created_at = Use(clock.now)
    updated_at = Use(clock.now)


class PostFactory(RowFactory[Post]):
    title = Use(lambda: PostFactory.__faker__.sentence(nb_words=4))
    content = "Something is to be done about something."
    words = Ignore()  # PostgreSQL computes it


class WebhookFactory(RowFactory[Webhook]):
    url = Use(lambda: f"https://{WebhookFactory.__faker__.domain_name()}/hooks")
    encrypted_secret = Use(lambda: CIPHER.encrypt(new_secret()))


class DeliveryFactory(RowFactory[Delivery]):
    event = Event.TASK_CREATED.value
    body = "{}"
    state = State.PENDING.value
    attempts = 0
    due_at = Use(clock.now)
    last_error = None


async def stored(session: AsyncSession, row: AnyRow) -> AnyRow:
    """``row``, inserted and committed."""
    session.add(row)
    await session.commit()
    return row


def bound(factory: type[RowFactory[Row]], session: AsyncSession) -> Callable[..., Awaitable[Row]]:
    async def make(**columns: Any) -> Row:
        return await stored(session, factory.build(**columns))

    return make


@pytest.fixture
def make_post(db_session: AsyncSession) -> MakePost:
    return bound(PostFactory, db_session)


@pytest.fixture
def make_webhook(db_session: AsyncSession) -> MakeWebhook:
    return bound(WebhookFactory, db_session)


@pytest.fixture
def make_delivery(db_session: AsyncSession) -> MakeDelivery:
    return bound(DeliveryFactory, db_session)
