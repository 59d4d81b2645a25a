"""/api/v1/posts: anybody reads, anybody on the team writes, author and admins change."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from httpx import AsyncClient
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Post, User
from tests.support.factories import MakePost
from tests.support.people import AsUser, MakeUser

POSTS = "/api/v1/posts"
SEARCH = "/api/v1/search/posts"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DRAFT = {"title": " On testing ", "content": "Test on what runs in production."}


@pytest.fixture
async def post(ada: User, make_post: MakePost) -> Post:
    """A post of Ada's."""
    return await make_post(author_id=ada.id, title="Of Ada", content="Hers.")


@pytest.fixture(params=["author", "admin"])
async def editor(request: pytest.FixtureRequest, ada: User, make_user: MakeUser) -> User:
    """Who may change Ada's posts: she, and an admin who has written nothing."""
    admin: User = await make_user("Root", is_admin=True)
    return ada if request.param == "author" else admin


@pytest.fixture
def as_grace(as_user: AsUser, grace: User) -> None:
    """Every request is that of somebody else on the team."""
    as_user(grace)


async def stored(db_session: AsyncSession) -> list[tuple[str, str]]:
    rows = await db_session.execute(select(Post.title, Post.content))
    return [(title, content) for title, content in rows]


async def test_a_post_is_published_by_whoever_is_logged_in(
    client: AsyncClient, as_user: AsUser, ada: User, db_session: AsyncSession
) -> None:
    as_user(ada)

    response = await client.post(POSTS, json=DRAFT)

    post = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"{POSTS}/{post['id']}"
    assert (post["author_id"], post["title"]) == (str(ada.id), "On testing")
    assert await stored(db_session) == [("On testing", DRAFT["content"])]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param({"content": "x"}, "/body/title", id="no title"),
        pytest.param({"title": " ", "content": "x"}, "/body/title", id="a blank title"),
        pytest.param({"title": "x" * 201, "content": "x"}, "/body/title", id="a long title"),
        pytest.param({"title": "x", "content": ""}, "/body/content", id="no content"),
        pytest.param({"title": "x", "content": "x" * 50_001}, "/body/content", id="a long content"),
        pytest.param({"title": "x", "content": "\x00"}, "/body/content", id="U+0000"),
        pytest.param({**DRAFT, "author_id": str(UUID(int=1))}, "/body/author_id", id="for somebody else"),
    ],
)
async def test_a_post_that_is_not_well_formed_is_refused(
    client: AsyncClient, as_user: AsUser, ada: User, body: dict[str, str], pointer: str
) -> None:
    as_user(ada)

    response = await client.post(POSTS, json=body)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_anybody_reads_a_post(client: AsyncClient, ada: User, make_post: MakePost) -> None:
    post = await make_post(
        author_id=ada.id, title="On testing", content="Do.", created_at=NOON, updated_at=NOON
    )

    response = await client.get(f"{POSTS}/{post.id}")

    assert response.status_code == 200
    assert response.json() == {
        "id": str(post.id),
        "author_id": str(ada.id),
        "title": "On testing",
        "content": "Do.",
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
    }


async def test_anybody_reads_the_list_page_by_page(
    client: AsyncClient, ada: User, make_post: MakePost
) -> None:
    for number in range(3):
        await make_post(author_id=ada.id, title=f"{number}", created_at=NOON + timedelta(hours=number))

    first = (await client.get(POSTS, params={"limit": 2})).json()
    second = (await client.get(POSTS, params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [post["title"] for post in first["items"]] == ["2", "1"]
    assert ([post["title"] for post in second["items"]], second["next_cursor"]) == (["0"], None)


async def test_author_and_admins_change_and_delete_a_post(
    client: AsyncClient, as_user: AsUser, post: Post, editor: User
) -> None:
    as_user(editor)

    changed = await client.patch(f"{POSTS}/{post.id}", json={"title": "Changed"})
    deleted = await client.delete(f"{POSTS}/{post.id}")

    assert (changed.status_code, changed.json()["title"], changed.json()["content"]) == (
        200,
        "Changed",
        "Hers.",
    )
    assert deleted.status_code == 204
    assert (await client.get(f"{POSTS}/{post.id}")).status_code == 404


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_nobody_else_changes_or_deletes_it(
    client: AsyncClient, as_grace: None, post: Post, db_session: AsyncSession, method: str
) -> None:
    response = await client.request(
        method, f"{POSTS}/{post.id}", json={"title": "Of Grace"} if method == "PATCH" else None
    )

    assert (response.status_code, response.json()["detail"]) == (
        403,
        "Only its author or an admin may do this.",
    )
    assert await stored(db_session) == [("Of Ada", "Hers.")]


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_without_a_login_nothing_is_written(
    client: AsyncClient, ada: User, make_post: MakePost, method: str
) -> None:
    post = await make_post(author_id=ada.id)
    path = POSTS if method == "POST" else f"{POSTS}/{post.id}"

    response = await client.request(method, path, json=None if method == "DELETE" else DRAFT)

    assert (response.status_code, response.json()["title"]) == (401, "Missing access token")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_a_post_that_does_not_exist_is_not_found(
    client: AsyncClient, as_user: AsUser, ada: User, method: str
) -> None:
    as_user(ada)

    response = await client.request(method, f"{POSTS}/{UUID(int=0)}", json={} if method == "PATCH" else None)

    assert (response.status_code, response.json()["title"]) == (404, "Post not found")


async def test_a_post_that_is_sent_twice_is_published_once(
    client: AsyncClient, as_user: AsUser, ada: User, db_session: AsyncSession
) -> None:
    as_user(ada)

    for _ in range(2):
        await client.post(POSTS, json=DRAFT, headers={"Idempotency-Key": "the same"})

    assert len(await stored(db_session)) == 1


async def test_a_search_answers_with_what_was_found_marked_and_the_rest_escaped(
    client: AsyncClient, ada: User, make_post: MakePost
) -> None:
    post = await make_post(
        author_id=ada.id, title="Boards", content="Here is a board, '>' & more.", created_at=NOON
    )
    await make_post(author_id=ada.id, title="Something else", content="Nothing of that kind.")

    response = await client.get(SEARCH, params={"q": "boards"})

    assert response.status_code == 200
    (hit,) = response.json()["items"]
    assert hit.pop("rank") > 0
    assert hit == {
        "id": str(post.id),
        "author_id": str(ada.id),
        "title": "Boards",
        "title_html": "<mark>Boards</mark>",
        "excerpt_html": "Here is a <mark>board</mark>, &#x27;&gt;&#x27; &amp; more",
        "created_at": "2026-03-01T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        pytest.param({}, "/query/q", id="nothing asked"),
        pytest.param({"q": ""}, "/query/q", id="empty"),
        pytest.param({"q": "x" * 201}, "/query/q", id="long"),
        pytest.param({"q": "\x00"}, "/query/q", id="U+0000"),
        pytest.param({"q": "x", "limit": "101"}, "/query/limit", id="too many"),
    ],
)
async def test_a_search_for_nothing_sensible_is_refused(
    client: AsyncClient, params: dict[str, str], pointer: str
) -> None:
    response = await client.get(SEARCH, params=params)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
