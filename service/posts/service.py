from typing import Annotated
from uuid import UUID

from fastapi import Depends

from service.dependencies import SessionDep
from service.errors import NotAuthorError, PostNotFoundError
from service.pagination import PageRequest
from service.posts.models import Post
from service.posts.repository import PostRepository
from service.posts.schemas import Hit, PostChange, PostDraft, PostRead, SearchResult
from service.schemas import Page
from service.users.models import User


class PostService:
    def __init__(self, posts: PostRepository) -> None:
        self._posts = posts

    async def create(self, draft: PostDraft, author: User) -> Post:
        return await self._posts.add(Post(author_id=author.id, **draft.model_dump()))

    async def page(self, request: PageRequest) -> Page[PostRead]:
        rows, next_cursor = request.split(await self._posts.page(request))
        return Page(items=[PostRead.model_validate(row) for row in rows], next_cursor=next_cursor)

    async def search(self, words: str, limit: int) -> SearchResult:
        found = await self._posts.search(words, limit)
        return SearchResult(items=[Hit.of(*row) for row in found])

    async def read(self, post_id: UUID) -> Post:
        """The post.

        Raises:
            PostNotFoundError: There is none.
        """
        post = await self._posts.get(post_id)
        if post is None:
            raise PostNotFoundError
        return post

    async def change(self, post_id: UUID, change: PostChange, user: User) -> Post:
        """The post after the change.

        Raises:
            PostNotFoundError: There is none.
            NotAuthorError: It is somebody else's, and ``user`` no admin.
        """
        post = await self._get_for_change(post_id, user)
        await self._posts.change(post, change.model_dump(exclude_unset=True))
        return post

    async def delete(self, post_id: UUID, user: User) -> None:
        """Remove the post.

        Raises:
            PostNotFoundError: There is none.
            NotAuthorError: It is somebody else's, and ``user`` no admin.
        """
        await self._posts.delete(await self._get_for_change(post_id, user))

    async def _get_for_change(self, post_id: UUID, user: User) -> Post:
        post = await self.read(post_id)
        if post.author_id != user.id and not user.is_admin:
            raise NotAuthorError
        return post


async def post_service(session: SessionDep) -> PostService:
    return PostService(PostRepository(session))


PostServiceDep = Annotated[PostService, Depends(post_service)]
