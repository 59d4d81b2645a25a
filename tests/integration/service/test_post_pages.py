"""The list of posts in PostgreSQL: in which order it comes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import User
from service.pagination import Cursor, PageRequest
from service.posts.repository import PostRepository
from tests.support.factories import MakePost

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_the_newest_post_comes_first_and_the_id_decides_between_equals(
    ada: User, make_post: MakePost, db_session: AsyncSession
) -> None:
    posts = PostRepository(db_session)
    await make_post(author_id=ada.id, title="Lower id", created_at=NOON, id=UUID(int=1))
    await make_post(author_id=ada.id, title="Higher id", created_at=NOON, id=UUID(int=2))
    await make_post(author_id=ada.id, title="Newest", created_at=NOON + timedelta(hours=1))
    await db_session.execute(text("SET LOCAL enable_indexscan = off"))  # it has this order by itself
    await db_session.execute(text("SET LOCAL enable_bitmapscan = off"))

    everything = await posts.page(PageRequest())
    after_second = await posts.page(PageRequest(after=Cursor(NOON, UUID(int=2))))

    assert [post.title for post in everything] == ["Newest", "Higher id", "Lower id"]
    assert [post.title for post in after_second] == ["Lower id"]
