from sqlalchemy import CheckConstraint, Index, String, false, func
from sqlalchemy.orm import Mapped, mapped_column

from service.database import Base, Record

EMAIL_IS_UNIQUE = "uq_users_lower_email"


class User(Record, Base):
    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("position('@' in email) > 1", name="email_has_at"),
        CheckConstraint("btrim(name) <> ''", name="name_not_blank"),
        Index("ix_users_created_at_id", "created_at", "id"),
    )

    email: Mapped[str] = mapped_column(String(320))
    """As the user wrote it; two addresses that differ only in case are the same account."""
    name: Mapped[str] = mapped_column(String(80))
    password_hash: Mapped[str] = mapped_column(String(255))
    is_admin: Mapped[bool] = mapped_column(default=False, server_default=false())


Index(EMAIL_IS_UNIQUE, func.lower(User.email), unique=True)
