from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.database import Base, Record


class LoginSession(Record, Base):
    """One login, and all that was refreshed from it: the family of its refresh tokens."""

    __tablename__ = "login_sessions"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it was ended before its time: by a logout, a new password, or a token that came twice."""


class RefreshToken(Record, Base):
    """A refresh token that was given out. Only its digest is kept: who reads the table gets in nowhere."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (CheckConstraint("octet_length(digest) = 32", name="digest_is_sha256"),)

    session_id: Mapped[UUID] = mapped_column(ForeignKey("login_sessions.id", ondelete="CASCADE"), index=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    """When it was exchanged for the next one. It is good for that once."""

    session: Mapped[LoginSession] = relationship(lazy="raise")
