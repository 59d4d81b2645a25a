"""POST /api/v1/users."""

import hashlib
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import respx
from freezegun import freeze_time
from httpx import AsyncClient
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import User

if TYPE_CHECKING:
    from starlette.testclient import TestClient

ADA = {"email": "Ada@example.org", "name": "Ada", "password": "correct horse battery"}


async def accounts(db_session: AsyncSession) -> int:
    return (await db_session.execute(select(func.count(User.id)))).scalar_one()


async def test_a_registration_answers_with_the_account(client: AsyncClient) -> None:
    with freeze_time("2026-03-01 12:00:00", real_asyncio=True):
        response = await client.post("/api/v1/users", json=ADA)

    account = response.json()
    assert response.status_code == 201
    assert account == {
        "id": str(UUID(account["id"])),
        "email": "Ada@example.org",
        "name": "Ada",
        "is_admin": True,
        "created_at": "2026-03-01T12:00:00Z",
    }


async def test_a_registration_is_committed_with_a_hash_in_place_of_the_password(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    response = await client.post("/api/v1/users", json=ADA)

    query = select(User.id, User.email, User.name, User.password_hash)
    row = (await db_session.execute(query)).one()
    assert row == (UUID(response.json()["id"]), "Ada@example.org", "Ada", row.password_hash)
    assert row.password_hash.startswith("$argon2id$")


def test_a_registration_from_synchronous_code(sync_client: "TestClient") -> None:
    response = sync_client.post("/api/v1/users", json=ADA)

    assert (response.status_code, response.json()["name"]) == (201, "Ada")


@pytest.mark.parametrize("email", ["Ada@example.org", "ada@EXAMPLE.org", "ADA@example.org"])
async def test_an_address_can_be_registered_once_whatever_its_case(
    client: AsyncClient, db_session: AsyncSession, email: str
) -> None:
    await client.post("/api/v1/users", json=ADA)

    response = await client.post("/api/v1/users", json={**ADA, "email": email})

    assert response.status_code == 409
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/email-taken",
        "title": "E-mail address taken",
        "status": 409,
        "detail": "An account with this e-mail address exists already.",
        "instance": "/api/v1/users",
    }
    assert await accounts(db_session) == 1


async def test_a_weak_password_is_refused_with_every_reason(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    response = await client.post("/api/v1/users", json={**ADA, "password": "aaa"})

    assert response.status_code == 422
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/weak-password",
        "title": "Weak password",
        "status": 422,
        "detail": "The password is too weak.",
        "instance": "/api/v1/users",
        "errors": [
            {"pointer": "/body/password", "detail": "It must have at least 12 characters."},
            {"pointer": "/body/password", "detail": "It must have at least 5 different characters."},
        ],
    }
    assert await accounts(db_session) == 0


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        pytest.param({"email": "ada"}, "/body/email", id="no address"),
        pytest.param({"email": None}, "/body/email", id="null for the address"),
        pytest.param({"email": "a" * 321 + "@example.org"}, "/body/email", id="a long address"),
        pytest.param({"name": "  "}, "/body/name", id="a blank name"),
        pytest.param({"name": "A" * 81}, "/body/name", id="a long name"),
        pytest.param({"name": "A\x00da"}, "/body/name", id="U+0000 in the name"),
        pytest.param({"is_admin": True}, "/body/is_admin", id="a field that does not exist"),
        pytest.param({"a/b~": 1}, "/body/a~1b~0", id="a field whose name needs escaping"),
    ],
)
async def test_a_registration_that_is_not_well_formed_is_refused(
    client: AsyncClient, db_session: AsyncSession, changes: dict[str, Any], pointer: str
) -> None:
    response = await client.post("/api/v1/users", json={**ADA, **changes})

    problem = response.json()
    assert response.status_code == 422
    assert problem == {
        "type": "tag:task-board.example,2026:problems/invalid-request",
        "title": "Invalid request",
        "status": 422,
        "detail": "The request does not have the form this route asks for.",
        "instance": "/api/v1/users",
        "errors": [{"pointer": pointer, "detail": problem["errors"][0]["detail"]}],
    }
    assert await accounts(db_session) == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param(
            b'{"email": "\\ud800", "name": "Ada", "password": "x"}', "/body/email", id="in the address"
        ),
        pytest.param(
            b'{"email": "ada@example.org", "name": "\\ud800", "password": "x"}',
            "/body/name",
            id="in the name",
        ),
        pytest.param(
            b'{"email": "ada@example.org", "name": "Ada", "password": "\\ud800"}',
            "/body/password",
            id="in the password",
        ),
        pytest.param(
            b'{"email": "ada@example.org", "name": "Ada", "password": "x", "\\ud800": 1}',
            "/body",
            id="in the name of a field",
        ),
    ],
)
async def test_half_a_surrogate_pair_is_refused(client: AsyncClient, body: bytes, pointer: str) -> None:
    response = await client.post("/api/v1/users", content=body, headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_refusal_never_repeats_the_password(client: AsyncClient) -> None:
    response = await client.post("/api/v1/users", json={"password": "correct horse battery"})

    assert response.status_code == 422
    assert "correct horse" not in response.text


async def test_a_password_from_a_breach_is_refused(
    client: AsyncClient, db_session: AsyncSession, pwned: respx.Route
) -> None:
    digest = hashlib.sha1(ADA["password"].encode()).hexdigest().upper()  # noqa: S324 (the API's choice)
    pwned.respond(text=f"{digest[5:]}:9")

    response = await client.post("/api/v1/users", json=ADA)

    assert response.status_code == 422
    assert response.json()["errors"] == [
        {
            "pointer": "/body/password",
            "detail": "It must not be a password that is known from a data breach.",
        }
    ]
    assert await accounts(db_session) == 0


async def test_a_registration_succeeds_while_nobody_knows_about_breaches(
    client: AsyncClient, pwned: respx.Route
) -> None:
    pwned.respond(503)

    response = await client.post("/api/v1/users", json=ADA)

    assert (response.status_code, pwned.call_count) == (201, 1)
