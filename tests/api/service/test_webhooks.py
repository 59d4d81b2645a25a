"""/api/v1/webhooks: register, list, read, remove; what was sent, and once more."""

import base64
import ipaddress
import json
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Delivery, User, Webhook
from service.webhooks.service import resolver
from service.webhooks.targets import Address
from tests.support.factories import CIPHER, MakeDelivery, MakeWebhook
from tests.support.people import AsUser, MakeUser

WEBHOOKS = "/api/v1/webhooks"
URL = "https://hooks.example.org/tasks"
ANY = {"If-Match": "*"}
NOBODY = UUID(int=0)


@pytest.fixture(autouse=True)
def logged_in(as_user: AsUser, ada: User) -> None:
    """Every request of this module is Ada's, unless the test says otherwise."""
    as_user(ada)


@pytest.fixture(autouse=True)
def names(app: FastAPI) -> dict[str, str]:
    """The names that can be looked up, and the address of each. A test may add some."""
    table = {"hooks.example.org": "93.184.215.14"}

    async def resolve(host: str, port: int) -> list[Address]:
        return [ipaddress.ip_address(table.get(host, host))]

    app.dependency_overrides[resolver] = lambda: resolve
    return table


@pytest.fixture
async def root(make_user: MakeUser) -> User:
    """An admin."""
    return await make_user("Root", is_admin=True)


@pytest.fixture
def as_root(as_user: AsUser, root: User) -> None:
    """Every request is the admin's."""
    as_user(root)


@pytest.fixture
async def webhook(ada: User, make_webhook: MakeWebhook) -> Webhook:
    """A webhook of Ada's."""
    return await make_webhook(owner_id=ada.id, url=URL)


def assert_problem(response: Response, status: int, title: str) -> None:
    assert (response.status_code, response.json()["title"]) == (status, title)


async def test_a_webhook_is_registered_and_its_secret_shown_once(client: AsyncClient) -> None:
    made = await client.post(WEBHOOKS, json={"url": URL})

    webhook = made.json()
    secret = webhook.pop("secret")
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    assert (secret[:6], len(base64.b64decode(secret[6:]))) == ("whsec_", 32)
    assert webhook["url"] == URL
    assert (await client.get(made.headers["location"])).json() == webhook
    assert (await client.get(WEBHOOKS)).json() == {"items": [webhook], "next_cursor": None}


async def test_a_secret_is_kept_encrypted_and_no_other_answer_shows_it(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    made = await client.post(WEBHOOKS, json={"url": URL})
    kept = (await db_session.scalars(select(Webhook.encrypted_secret))).one()
    await client.post("/api/v1/tasks", json={"title": "Write"})
    path = made.headers["location"]

    answers = [await client.get(each) for each in (WEBHOOKS, path, f"{path}/deliveries")]
    answers += [await client.post(WEBHOOKS, json={"url": URL}), await client.delete(path)]

    secret = made.json()["secret"]
    assert CIPHER.decrypt(kept) == secret
    assert [answer.text for answer in answers if secret in answer.text or kept in answer.text] == []
    assert kept not in made.text


async def test_a_url_has_one_webhook_for_each_user(client: AsyncClient, as_user: AsUser, grace: User) -> None:
    await client.post(WEBHOOKS, json={"url": URL})

    again = await client.post(WEBHOOKS, json={"url": URL})
    as_user(grace)
    of_somebody_else = await client.post(WEBHOOKS, json={"url": URL})

    assert_problem(again, 409, "Webhook exists")
    assert of_somebody_else.status_code == 201


async def test_a_user_may_have_twenty_webhooks(
    client: AsyncClient, as_user: AsUser, ada: User, grace: User, make_webhook: MakeWebhook
) -> None:
    for number in range(19):
        await make_webhook(owner_id=ada.id, url=f"{URL}/{number}")

    twentieth = await client.post(WEBHOOKS, json={"url": URL})
    one_more = await client.post(WEBHOOKS, json={"url": f"{URL}/more"})
    sent_again = await client.post(WEBHOOKS, json={"url": URL})
    await client.delete(twentieth.headers["location"])
    after_one_has_gone = await client.post(WEBHOOKS, json={"url": f"{URL}/more"})
    as_user(grace)
    of_somebody_else = await client.post(WEBHOOKS, json={"url": URL})

    assert_problem(one_more, 409, "Too many webhooks")
    assert one_more.json()["detail"] == "A user may have 20 webhooks; remove one first."
    assert_problem(sent_again, 409, "Webhook exists")
    assert (after_one_has_gone.status_code, of_somebody_else.status_code) == (201, 201)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://localhost/", "The URL leads to an address that is not public."),
        ("https://127.0.0.1:5432/", "The URL leads to an address that is not public."),
        ("https://[::1]/", "The URL leads to an address that is not public."),
        ("https://metadata.example.org/", "The URL leads to an address that is not public."),
        ("https://nobody.example.org/", "The URL has a host that cannot be found."),
        ("gopher://hooks.example.org/", "The URL must begin with https:// and a host."),
    ],
)
async def test_a_url_that_leads_inside_or_nowhere_is_refused(
    client: AsyncClient, names: dict[str, str], db_session: AsyncSession, url: str, sentence: str
) -> None:
    names |= {"localhost": "127.0.0.1", "metadata.example.org": "169.254.169.254"}

    response = await client.post(WEBHOOKS, json={"url": url})

    assert_problem(response, 422, "Forbidden target")
    assert response.json()["detail"] == sentence
    assert (await db_session.scalars(select(Webhook))).all() == []


@pytest.mark.parametrize("body", [{}, {"url": ""}, {"url": "x" * 2001}, {"url": URL, "secret": "mine"}])
async def test_a_webhook_that_is_not_well_formed_is_refused(
    client: AsyncClient, body: dict[str, str]
) -> None:
    assert_problem(await client.post(WEBHOOKS, json=body), 422, "Invalid request")


async def test_a_removed_webhook_is_gone(
    client: AsyncClient, webhook: Webhook, make_delivery: MakeDelivery, db_session: AsyncSession
) -> None:
    await make_delivery(webhook_id=webhook.id)

    response = await client.delete(f"{WEBHOOKS}/{webhook.id}")

    assert response.status_code == 204
    assert_problem(await client.get(f"{WEBHOOKS}/{webhook.id}"), 404, "Webhook not found")
    assert (await db_session.scalars(select(Delivery))).all() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("GET", "/deliveries"),
        ("POST", f"/deliveries/{NOBODY}/retry"),
    ],
)
async def test_somebody_elses_webhook_is_not_found_not_even_by_an_admin(
    client: AsyncClient, as_root: None, webhook: Webhook, method: str, path: str
) -> None:
    for webhook_id in (NOBODY, webhook.id):
        response = await client.request(method, f"{WEBHOOKS}/{webhook_id}{path}")

        assert_problem(response, 404, "Webhook not found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""),
        ("GET", ""),
        ("GET", f"/{NOBODY}"),
        ("DELETE", f"/{NOBODY}"),
        ("GET", f"/{NOBODY}/deliveries"),
        ("POST", f"/{NOBODY}/deliveries/{NOBODY}/retry"),
    ],
)
async def test_without_a_login_there_are_no_webhooks(
    app: FastAPI, client: AsyncClient, method: str, path: str
) -> None:
    app.dependency_overrides.clear()

    response = await client.request(method, f"{WEBHOOKS}{path}", json={"url": URL} if not path else None)

    assert_problem(response, 401, "Missing access token")


async def test_changes_of_ones_tasks_are_left_for_the_worker(
    client: AsyncClient, webhook: Webhook, db_session: AsyncSession
) -> None:
    made = await client.post("/api/v1/tasks", json={"title": "Write"})
    changed = await client.patch(made.headers["location"], json={"status": "done"}, headers=ANY)
    await client.patch(made.headers["location"], json={"status": "done"}, headers=ANY)  # changes nothing
    await client.delete(made.headers["location"])

    rows = await db_session.scalars(select(Delivery).order_by(Delivery.created_at))
    bodies = [json.loads(row.body) for row in rows]
    assert [(body["event"], body["task"]["status"]) for body in bodies] == [
        ("task.created", "todo"),
        ("task.updated", "done"),
        ("task.deleted", "done"),
    ]
    assert bodies[1]["task"] == changed.json()


async def test_what_an_admin_changes_is_told_to_the_owner(
    client: AsyncClient, as_user: AsUser, root: User, webhook: Webhook, db_session: AsyncSession
) -> None:
    made = await client.post("/api/v1/tasks", json={"title": "Write"})
    as_user(root)

    await client.patch(made.headers["location"], json={"title": "Read"}, headers=ANY)

    events = (await db_session.scalars(select(Delivery.event).order_by(Delivery.created_at))).all()
    assert events == ["task.created", "task.updated"]


async def test_deliveries_are_listed_page_by_page(
    client: AsyncClient, webhook: Webhook, make_delivery: MakeDelivery
) -> None:
    made = [str((await make_delivery(webhook_id=webhook.id)).id) for _ in range(3)]
    path = f"{WEBHOOKS}/{webhook.id}/deliveries"

    first = (await client.get(path, params={"limit": 2})).json()
    second = (await client.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [row["id"] for row in first["items"] + second["items"]] == made[::-1]
    assert first["items"][0] | {"id": 0, "created_at": 0, "updated_at": 0} == {
        "id": 0,
        "event": "task.created",
        "state": "pending",
        "attempts": 0,
        "last_error": None,
        "created_at": 0,
        "updated_at": 0,
    }


async def test_webhooks_are_listed_page_by_page(
    client: AsyncClient, ada: User, make_webhook: MakeWebhook
) -> None:
    made = [str((await make_webhook(owner_id=ada.id, url=f"{URL}/{n}")).id) for n in range(3)]

    first = (await client.get(WEBHOOKS, params={"limit": 2})).json()
    second = (await client.get(WEBHOOKS, params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [row["id"] for row in first["items"] + second["items"]] == made[::-1]


async def test_a_delivery_that_was_given_up_can_be_tried_anew(
    client: AsyncClient, webhook: Webhook, make_delivery: MakeDelivery
) -> None:
    dead = await make_delivery(webhook_id=webhook.id, state="dead", attempts=10, last_error="no answer")

    response = await client.post(f"{WEBHOOKS}/{webhook.id}/deliveries/{dead.id}/retry")

    assert (response.status_code, response.json()["state"], response.json()["attempts"]) == (
        202,
        "pending",
        0,
    )


async def test_only_what_was_given_up_can_be_tried_anew(
    client: AsyncClient, webhook: Webhook, make_delivery: MakeDelivery
) -> None:
    pending = await make_delivery(webhook_id=webhook.id)

    for delivery_id in (pending.id, uuid4()):
        response = await client.post(f"{WEBHOOKS}/{webhook.id}/deliveries/{delivery_id}/retry")

        assert_problem(response, 404, "Delivery not found")
