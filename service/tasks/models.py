import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    DDL,
    BigInteger,
    CheckConstraint,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Sequence,
    String,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.database import Base, Record
from service.tasks.rules import Priority, Status


def _text_of(kind: type[enum.StrEnum]) -> Enum:
    """Kept as text under a check constraint: a new value is then an ordinary, reversible migration."""
    return Enum(kind, native_enum=False, length=16, values_callable=lambda k: [member.value for member in k])


POSITIONS = Sequence("task_positions", metadata=Base.metadata)

# Indexes that find a part of a title need it; the migrations have it in one of their own.
TRIGRAMS = DDL("CREATE EXTENSION IF NOT EXISTS pg_trgm")  # type: ignore[no-untyped-call]  # SQLAlchemy's
event.listen(Base.metadata, "before_create", TRIGRAMS)


class Task(Record, Base):
    __tablename__ = "tasks"
    __table_args__ = (
        CheckConstraint("btrim(title) <> ''", name="title_not_blank"),
        CheckConstraint("char_length(description) <= 10000", name="description_length"),
        CheckConstraint("status IN ('todo', 'in_progress', 'done')", name="status_known"),
        CheckConstraint("priority IN ('low', 'normal', 'high')", name="priority_known"),
        # Checked at commit: while tasks change places, two are in the same one.
        UniqueConstraint(
            "owner_id",
            "position",
            name="uq_tasks_owner_id_position",
            deferrable=True,
            initially="DEFERRED",
        ),
        Index(
            "ix_tasks_title_trigrams",
            "title",
            postgresql_using="gin",
            postgresql_ops={"title": "gin_trgm_ops"},
        ),
        Index("ix_tasks_owner_id_created_at_id", "owner_id", "created_at", "id"),
        Index(
            "ix_tasks_owner_id_due_at_open",
            "owner_id",
            "due_at",
            postgresql_where="status <> 'done' AND due_at IS NOT NULL",
        ),
    )

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, server_default="")
    status: Mapped[Status] = mapped_column(_text_of(Status), server_default=Status.TODO.value)
    priority: Mapped[Priority] = mapped_column(_text_of(Priority), server_default=Priority.NORMAL.value)
    due_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    position: Mapped[int] = mapped_column(BigInteger, server_default=POSITIONS.next_value())
    """Where it stands in its owner's list, from the top down. Only the order of the numbers counts."""
    version: Mapped[int] = mapped_column(server_default=text("1"))
    """Counts the changes. SQLAlchemy writes it, and refuses to write over a version it has not read."""

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 (how SQLAlchemy wants it)
