from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.database import Base, Record
from service.webhooks.events import State

LONGEST_URL = 2000
ONE_PER_URL = "uq_webhooks_owner_id_url"


class Webhook(Record, Base):
    """Where the changes of one user's tasks are sent to."""

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("owner_id", "url", name=ONE_PER_URL),)

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    url: Mapped[str] = mapped_column(String(LONGEST_URL))
    encrypted_secret: Mapped[str] = mapped_column(Text)
    """Signs what is sent, by `SecretCipher`. A digest would not do: a key has to be known to be used."""


class Delivery(Record, Base):
    """The outbox: a row for each message to each webhook, written with the change it tells of."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="state_known"),
        CheckConstraint("attempts >= 0", name="attempts_counted"),
        Index("ix_deliveries_webhook_id_created_at_id", "webhook_id", "created_at", "id"),
        Index("ix_deliveries_due_at_pending", "due_at", postgresql_where="state = 'pending'"),
        Index("ix_deliveries_updated_at_ended", "updated_at", postgresql_where="state <> 'pending'"),
    )

    webhook_id: Mapped[UUID] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[str] = mapped_column(String(50))
    body: Mapped[str] = mapped_column(Text)
    """What is sent, to the letter: the signature covers it, and each attempt sends the same."""
    state: Mapped[str] = mapped_column(String(16), server_default=State.PENDING.value)
    attempts: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """When the next attempt may begin. While one runs: when it counts as lost."""
    last_error: Mapped[str | None] = mapped_column(String(200))
