from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.posts.highlights import marked
from service.posts.models import LONGEST, Post
from service.schemas import Storable

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Storable]
Content = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST), Storable]
Query = Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]


class PostDraft(BaseModel):
    """A post to be made."""

    model_config = ConfigDict(extra="forbid")

    title: Title
    content: Content


class PostChange(BaseModel):
    """What to change of a post: the fields that are given."""

    model_config = ConfigDict(extra="forbid")

    # The defaults are never read: what was not given is left out of the change.
    title: Title = ""
    content: Content = ""


class PostRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    author_id: UUID
    title: str
    content: str
    created_at: datetime
    updated_at: datetime


class Hit(BaseModel):
    """A post that a search found."""

    id: UUID
    author_id: UUID
    title: str
    title_html: str = Field(description="The title as HTML, escaped, what was found in `<mark>`.")
    excerpt_html: str = Field(description="Parts of the content, in the same form.")
    rank: float = Field(description="How well it fits; only good for comparing hits of one search.")
    created_at: datetime

    @classmethod
    def of(cls, post: Post, rank: float, title: str, excerpt: str) -> Self:
        return cls(
            id=post.id,
            author_id=post.author_id,
            title=post.title,
            title_html=marked(title),
            excerpt_html=marked(excerpt),
            rank=rank,
            created_at=post.created_at,
        )


class SearchResult(BaseModel):
    items: list[Hit]
