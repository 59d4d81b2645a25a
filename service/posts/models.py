from uuid import UUID

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, String, Text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from service.database import Base, Record

LONGEST = 50_000

# The language is written out: with the server's default the expression would not be immutable.
WORDS = "setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', content), 'B')"


class Post(Record, Base):
    __tablename__ = "posts"
    __table_args__ = (
        CheckConstraint("btrim(title) <> ''", name="title_not_blank"),
        CheckConstraint(f"char_length(content) BETWEEN 1 AND {LONGEST}", name="content_length"),
        Index("ix_posts_created_at_id", "created_at", "id"),
        Index("ix_posts_words", "words", postgresql_using="gin"),
    )

    author_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    title: Mapped[str] = mapped_column(String(200))
    content: Mapped[str] = mapped_column(Text)
    words: Mapped[str] = mapped_column(TSVECTOR, Computed(WORDS, persisted=True), deferred=True)
    """What is searched. PostgreSQL computes it; it is never loaded."""
