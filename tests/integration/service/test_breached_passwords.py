"""Have I Been Pwned's range API: what is asked, how an answer is read, and what follows from none."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
import respx

from service.auth.breaches import BreachedPasswords
from service.settings import Settings

PASSWORD = "correct horse battery"
DIGEST = hashlib.sha1(PASSWORD.encode()).hexdigest().upper()  # noqa: S324 (what the API is asked by)
RANGE = f"https://api.pwnedpasswords.com/range/{DIGEST[:5]}"
OTHER = "0018A45C4D1DEF81644B54AB7F969B88D65:7"


def settings(**changes: object) -> Settings:
    return Settings.model_validate({"database_url": "postgresql+asyncpg://localhost/board", **changes})


@pytest.fixture
async def breached() -> AsyncIterator[BreachedPasswords]:
    async with BreachedPasswords(settings()) as breached:
        yield breached


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        pytest.param(f"{OTHER}\r\n{DIGEST[5:]}:3\r\n", True, id="among others"),
        pytest.param(f"{DIGEST[5:].lower()}:3", True, id="in small letters"),
        pytest.param(f"{OTHER}\r\n", False, id="only others"),
        pytest.param(f"{DIGEST[5:]}:0", False, id="a line of the padding"),
        pytest.param("", False, id="nothing"),
        pytest.param("<html>", False, id="not an answer"),
    ],
)
async def test_a_password_is_known_if_the_rest_of_its_digest_is_listed(
    breached: BreachedPasswords, external_http: respx.MockRouter, answer: str, known: bool
) -> None:
    external_http.get(RANGE).respond(text=answer)

    assert await breached.know(PASSWORD) is known


async def test_five_digits_leave_the_process_and_nothing_else_of_the_password(
    breached: BreachedPasswords, external_http: respx.MockRouter
) -> None:
    route = external_http.get(RANGE).respond(text="")

    await breached.know(PASSWORD)

    request = route.calls.last.request
    sent = f"{request.method} {request.url} {request.headers} {request.content!r}".upper()
    assert request.headers["add-padding"] == "true"
    assert str(request.url) == RANGE
    assert DIGEST[5:] not in sent
    assert "HORSE" not in sent


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(httpx.ConnectError("no route to host"), id="no connection"),
        pytest.param(httpx.ReadTimeout("late"), id="no answer in time"),
        pytest.param(httpx.Response(500), id="an error"),
        pytest.param(httpx.Response(429), id="too many requests"),
        pytest.param(httpx.Response(302, headers={"Location": "https://example.org"}), id="a redirect"),
    ],
)
async def test_if_the_api_fails_the_password_passes_and_the_failure_is_logged(
    breached: BreachedPasswords,
    external_http: respx.MockRouter,
    caplog: pytest.LogCaptureFixture,
    failure: httpx.Response | Exception,
) -> None:
    external_http.get(RANGE).mock(
        **({"side_effect": failure} if isinstance(failure, Exception) else {"return_value": failure})
    )

    with caplog.at_level(logging.WARNING, "service"):
        known = await breached.know(PASSWORD)

    assert not known
    assert [record.getMessage() for record in caplog.records] == ["breached passwords could not be asked for"]
    assert DIGEST[:5] not in caplog.text


async def test_an_answer_that_never_comes_is_not_waited_for(external_http: respx.MockRouter) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        return await asyncio.Future()

    external_http.get(RANGE).mock(side_effect=never)

    async with BreachedPasswords(settings(breach_timeout=0.01)) as breached:
        assert not await breached.know(PASSWORD)


async def test_without_an_address_nobody_is_asked(external_http: respx.MockRouter) -> None:
    async with BreachedPasswords(settings(breach_url="")) as breached:
        assert not await breached.know(PASSWORD)
