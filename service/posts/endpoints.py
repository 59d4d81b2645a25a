from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from service import problems
from service.auth.dependencies import CurrentUserDep
from service.headers import described
from service.idempotency.route import IdempotentRoute
from service.pagination import LARGEST_PAGE, PageRequestDep
from service.posts import schemas
from service.posts.models import Post
from service.posts.schemas import PostChange, PostDraft, PostRead, SearchResult
from service.posts.service import PostServiceDep
from service.schemas import Page

router = APIRouter(
    prefix="/api/v1", tags=["posts"], route_class=IdempotentRoute, responses=problems.responses(422)
)


@router.post(
    "/posts",
    status_code=HTTPStatus.CREATED,
    response_model=PostRead,
    responses={201: {"headers": described("Location")}, **problems.responses(401)},
)
async def create_post(
    draft: PostDraft, posts: PostServiceDep, user: CurrentUserDep, request: Request, response: Response
) -> Post:
    """Publish a post. ``Location`` says where it is."""
    post = await posts.create(draft, user)
    response.headers["Location"] = str(request.app.url_path_for("read_post", post_id=post.id))
    return post


@router.get("/posts")
async def list_posts(request: PageRequestDep, posts: PostServiceDep) -> Page[PostRead]:
    """All posts, for anybody, the newest first."""
    return await posts.page(request)


@router.get("/search/posts")
async def search_posts(
    posts: PostServiceDep,
    q: Annotated[
        schemas.Query, Query(description='Words; `"quoted words"`, `or` and `-not` are understood.')
    ],
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 20,
) -> SearchResult:
    """The posts that fit best, for anybody; a word in the title counts for more than one in the text."""
    return await posts.search(q, limit)


@router.get("/posts/{post_id}", response_model=PostRead, responses=problems.responses(404))
async def read_post(post_id: UUID, posts: PostServiceDep) -> Post:
    """A post, for anybody."""
    return await posts.read(post_id)


@router.patch("/posts/{post_id}", response_model=PostRead, responses=problems.responses(401, 403, 404))
async def change_post(post_id: UUID, change: PostChange, posts: PostServiceDep, user: CurrentUserDep) -> Post:
    """Change the fields that are given, for the author and admins."""
    return await posts.change(post_id, change, user)


@router.delete(
    "/posts/{post_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems.responses(401, 403, 404)
)
async def delete_post(post_id: UUID, posts: PostServiceDep, user: CurrentUserDep) -> None:
    """Remove a post, for the author and admins."""
    await posts.delete(post_id, user)
