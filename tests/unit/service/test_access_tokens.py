"""Access tokens: what they claim, when they expire, and what is not accepted as one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from service.auth.tokens import REQUIRED, Claims, Tokens
from service.errors import ExpiredTokenError, InvalidTokenError
from service.settings import Settings

KEY = "a key of at least thirty-two bytes, for HS256"
ADA = UUID("0ada0ada-0000-4000-8000-000000000001")
LOGIN = UUID("00000000-0000-4000-8000-000000000003")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKENS = Tokens(key=KEY, issuer="task-board", audience="api", lifetime=timedelta(minutes=15))


@pytest.fixture(scope="module", autouse=True)
def noon() -> Iterator[None]:
    """It is noon in this module. Frozen once: that looks through every module there is. Not for pytest."""
    with freeze_time(NOON, ignore=["_pytest."]):
        yield


def claims(**changes: Any) -> dict[str, Any]:
    """What a token of ours claims at noon, with some claims changed; None leaves one out."""
    ours = {
        "sub": str(ADA),
        "sid": str(LOGIN),
        "iss": "task-board",
        "aud": "api",
        "iat": NOON,
        "exp": NOON + timedelta(minutes=15),
        "jti": "00000000-0000-4000-8000-000000000002",
    }
    return {name: value for name, value in {**ours, **changes}.items() if value is not None}


def test_a_token_says_whose_it_is_and_how_long_it_is_valid() -> None:
    token = TOKENS.issue(ADA, LOGIN)
    read = TOKENS.read(token)

    assert read == Claims(
        user_id=ADA,
        session_id=LOGIN,
        token_id=read.token_id,
        issued_at=NOON,
        expires_at=datetime(2026, 3, 1, 12, 15, tzinfo=UTC),
    )


def test_a_token_carries_all_registered_claims_and_nothing_else() -> None:
    token = TOKENS.issue(ADA, LOGIN)
    payload = jwt.decode(token, options={"verify_signature": False})

    assert payload == {
        "sub": "0ada0ada-0000-4000-8000-000000000001",
        "sid": "00000000-0000-4000-8000-000000000003",
        "iss": "task-board",
        "aud": "api",
        "iat": 1772366400,
        "exp": 1772366400 + 15 * 60,
        "jti": payload["jti"],
    }


def test_two_tokens_of_the_same_moment_can_be_told_apart() -> None:
    first, second = TOKENS.read(TOKENS.issue(ADA, LOGIN)), TOKENS.read(TOKENS.issue(ADA, LOGIN))

    assert first.token_id != second.token_id


def test_a_token_is_valid_until_the_second_it_expires() -> None:
    with freeze_time(NOON) as clock:
        token = TOKENS.issue(ADA, LOGIN)

        clock.tick(timedelta(minutes=14, seconds=59))
        assert TOKENS.read(token).user_id == ADA

        clock.tick(timedelta(seconds=1))
        with pytest.raises(ExpiredTokenError, match="has expired"):
            TOKENS.read(token)


def test_the_forged_claims_of_this_module_would_pass_unchanged() -> None:
    token = jwt.encode(claims(), KEY, "HS256")

    assert TOKENS.read(token).user_id == ADA


@pytest.mark.parametrize("left_out", REQUIRED)
def test_a_token_that_lacks_a_claim_is_not_valid(left_out: str) -> None:
    token = jwt.encode(claims(**{left_out: None}), KEY, "HS256")

    with pytest.raises(InvalidTokenError):
        TOKENS.read(token)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"iss": "somebody-else"}, id="another issuer"),
        pytest.param({"aud": "another-api"}, id="meant for another audience"),
        pytest.param({"sub": "ada"}, id="a subject that is no user's id"),
        pytest.param({"sid": "1"}, id="a session that is no id"),
        pytest.param({"jti": "1"}, id="an id of another form"),
        pytest.param(
            {"iat": NOON + timedelta(hours=1), "exp": NOON + timedelta(hours=2)}, id="of the future"
        ),
    ],
)
def test_a_token_with_a_wrong_claim_is_not_valid(changes: dict[str, Any]) -> None:
    token = jwt.encode(claims(**changes), KEY, "HS256")

    with pytest.raises(InvalidTokenError):
        TOKENS.read(token)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(jwt.encode(claims(), KEY[::-1], "HS256"), id="signed with another key"),
        pytest.param(jwt.encode(claims(), KEY * 2, "HS512"), id="signed with another algorithm"),
        pytest.param(jwt.encode(claims(), "", "none"), id="not signed"),
        pytest.param("", id="nothing"),
        pytest.param("a.b.c", id="not a token"),
    ],
)
def test_what_we_did_not_sign_is_not_valid(token: str) -> None:
    with pytest.raises(InvalidTokenError):
        TOKENS.read(token)


@given(st.text())
def test_any_text_is_read_or_refused_and_never_breaks(text: str) -> None:
    with pytest.raises(InvalidTokenError):
        TOKENS.read(text)


def test_the_settings_say_who_issues_tokens_for_whom_and_for_how_long() -> None:
    settings = Settings.model_validate(
        {
            "database_url": "postgresql+asyncpg://localhost/board",
            "secret_key": KEY,
            "token_issuer": "task-board",
            "token_audience": "api",
            "token_lifetime": 900,
        }
    )

    assert Tokens.of(settings) == TOKENS


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(TOKENS)
