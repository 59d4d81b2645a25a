from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from service.pagination import PageRequest
from service.posts.highlights import LESS, START, STOP
from service.posts.models import Post

LANGUAGE = "english"
MARKS = f"StartSel={START}, StopSel={STOP}"
WHOLE = f"{MARKS}, HighlightAll=true"
PARTS = f'{MARKS}, MaxFragments=2, MaxWords=25, MinWords=8, FragmentDelimiter=" … "'


class PostRepository:
    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, post: Post) -> Post:
        self._session.add(post)
        await self._session.flush()
        return post

    async def get(self, post_id: UUID) -> Post | None:
        return await self._session.get(Post, post_id)

    async def page(self, request: PageRequest) -> Sequence[Post]:
        """One row more than ``request.limit``, where there are so many; the newest first."""
        query = select(Post).order_by(Post.created_at.desc(), Post.id.desc()).limit(request.limit + 1)
        if request.after is not None:
            query = query.where(
                tuple_(Post.created_at, Post.id) < tuple_(request.after.created_at, request.after.id)
            )
        return (await self._session.scalars(query)).all()

    async def search(self, words: str, limit: int) -> list[tuple[Post, float, str, str]]:
        """The ``limit`` posts that fit ``words`` best: post, rank, title and excerpt with marks.

        ``words`` are as one types them into a search engine: quotes keep words together, a minus
        leaves posts out, ``or`` is or. Words such as "the" find nothing.
        """
        query = func.websearch_to_tsquery(LANGUAGE, words)
        rank = func.ts_rank_cd(Post.words, query)
        best = (
            select(Post.id, rank.label("rank"))
            .where(Post.words.op("@@")(query))
            .order_by(rank.desc(), Post.created_at.desc(), Post.id.desc())
            .limit(limit)
            .subquery()
        )
        # Only for the best: an excerpt costs more than the rest of the search.
        hits = (
            select(Post, best.c.rank, _marked(Post.title, query, WHOLE), _marked(Post.content, query, PARTS))
            .join(best, best.c.id == Post.id)
            .order_by(best.c.rank.desc(), Post.created_at.desc(), Post.id.desc())
        )
        return [
            (post, rank, title, excerpt) for post, rank, title, excerpt in await self._session.execute(hits)
        ]

    async def change(self, post: Post, values: Mapping[str, Any]) -> None:
        for column, value in values.items():
            setattr(post, column, value)
        await self._session.flush()

    async def delete(self, post: Post) -> None:
        await self._session.delete(post)
        await self._session.flush()


def _marked(text: InstrumentedAttribute[str], query: ColumnElement[Any], options: str) -> ColumnElement[str]:
    # Each "<" becomes LESS, and what nobody types goes.
    plain = func.translate(text, "<" + LESS + START + STOP, LESS)
    found: ColumnElement[str] = func.ts_headline(LANGUAGE, plain, query, options)
    return found
