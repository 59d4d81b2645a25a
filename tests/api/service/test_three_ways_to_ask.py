"""The same request in three ways: awaited, from a plain function, and over a real connection.

Take `client` unless there is a reason: `sync_client` for tests that are not async, `live_server` for what
needs a server (a browser, a library with its own HTTP, streaming, websockets).
"""

from typing import TYPE_CHECKING, Protocol

from httpx import AsyncClient
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Post, User
from tests.support.factories import MakePost

if TYPE_CHECKING:
    from starlette.testclient import TestClient

POSTS = "/api/v1/posts"


class Server(Protocol):
    @property
    def url(self) -> str: ...


async def test_with_the_asynchronous_client(client: AsyncClient, ada: User, make_post: MakePost) -> None:
    await make_post(author_id=ada.id, title="On testing")

    response = await client.get(POSTS)

    assert [post["title"] for post in response.json()["items"]] == ["On testing"]


def test_with_the_synchronous_client(sync_client: "TestClient") -> None:
    account = {"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}
    sync_client.post("/api/v1/users", json=account)
    form = {"username": account["email"], "password": account["password"]}
    token = sync_client.post("/api/v1/auth/token", data=form).json()["access_token"]

    made = sync_client.post(
        POSTS, json={"title": "On testing", "content": "Do."}, headers={"Authorization": f"Bearer {token}"}
    )

    assert sync_client.get(made.headers["location"]).json() == made.json()


async def test_over_a_real_connection(
    live_server: Server, ada: User, make_post: MakePost, db_session: AsyncSession
) -> None:
    await make_post(author_id=ada.id, title="On testing")

    async with AsyncClient(base_url=live_server.url) as browser:
        response = await browser.get(POSTS)

    assert [post["title"] for post in response.json()["items"]] == ["On testing"]
    assert (await db_session.scalars(select(Post.title))).all() == ["On testing"]
