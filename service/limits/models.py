from datetime import datetime

from sqlalchemy import CheckConstraint, DateTime, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from service.database import Base


class RateLimit(Base):
    """How often somebody did something in the window that ends at ``window_ends_at``."""

    __tablename__ = "rate_limits"
    # Unlogged: counting costs no write-ahead log, and after a crash everybody may start anew.
    __table_args__ = (
        CheckConstraint("octet_length(key) = 32", name="key_is_sha256"),
        {"prefixes": ["UNLOGGED"]},
    )

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """The digest of what was done and by whom: the table tells no address."""
    hits: Mapped[int]
    window_ends_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
