"""The secrets of the service: real ones outside development, none where none is used, none shown."""

import pytest
from pydantic import SecretStr, ValidationError

from service.settings import (
    DEVELOPMENT_KEY,
    DatabaseSettings,
    KeySettings,
    Settings,
    WorkerSettings,
)
from tests.support.settings import GOOD_KEY, PRODUCTION, URL, WEBHOOK_KEY, mistakes

MAKE_KEY, MAKE_WEBHOOK_KEY = (f"make one with: openssl rand -base64 {size}" for size in (48, 32))
TOO_SHORT = f"SERVICE_SECRET_KEY must have at least 64 bytes; {MAKE_KEY}"


def test_a_key_that_nobody_set_is_another_at_each_start() -> None:
    first, second = (Settings(database_url=SecretStr(URL)).secret_key.get_secret_value() for _ in range(2))

    assert first != second
    assert len(first) == len(second) == 64


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        pytest.param("", f"SERVICE_SECRET_KEY must have at least 64 bytes; {MAKE_KEY}", id="empty"),
        pytest.param(
            GOOD_KEY[:63], f"SERVICE_SECRET_KEY must have at least 64 bytes; {MAKE_KEY}", id="a byte short"
        ),
        pytest.param(
            "Change-Me-" + GOOD_KEY,
            f"SERVICE_SECRET_KEY is a placeholder; {MAKE_KEY}",
            id="a placeholder",
        ),
        pytest.param(
            "0123456" * 10,
            f"SERVICE_SECRET_KEY is a placeholder; {MAKE_KEY}",
            id="a few characters again and again",
        ),
    ],
)
def test_outside_development_the_key_must_be_a_real_one(environment: str, key: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**PRODUCTION, "environment": environment, "secret_key": key})

    assert mistakes(caught.value) == [("", f"Value error, {sentence}")]


def test_outside_development_the_key_must_be_set() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({name: value for name, value in PRODUCTION.items() if name != "secret_key"})

    assert mistakes(caught.value) == [
        ("", f"Value error, SERVICE_SECRET_KEY must be set in production; {MAKE_KEY}")
    ]


@pytest.mark.parametrize("environment", ["development", "staging", "production"])
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param("", id="none"),
        pytest.param("changeme", id="no base64"),
        pytest.param(WEBHOOK_KEY[4:], id="too short"),
        pytest.param(f"{WEBHOOK_KEY},AAAA", id="the second too short"),
    ],
)
def test_what_is_no_key_encrypts_nothing(environment: str, keys: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**PRODUCTION, "environment": environment, "webhook_keys": keys})

    sentence = f"SERVICE_WEBHOOK_KEYS must be 32 bytes in base64; {MAKE_WEBHOOK_KEY}"
    assert mistakes(caught.value) == [("", f"Value error, {sentence}")]


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize(
    "keys",
    [
        pytest.param(DEVELOPMENT_KEY.get_secret_value(), id="that of developments"),
        pytest.param(f"{WEBHOOK_KEY},{DEVELOPMENT_KEY.get_secret_value()}", id="that as an old one"),
        pytest.param("A" * 43 + "=", id="nothing"),
    ],
)
def test_outside_development_the_keys_of_webhooks_must_be_real_ones(environment: str, keys: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**PRODUCTION, "environment": environment, "webhook_keys": keys})

    sentence = f"SERVICE_WEBHOOK_KEYS holds a placeholder; {MAKE_WEBHOOK_KEY}"
    assert mistakes(caught.value) == [("", f"Value error, {sentence}")]


@pytest.mark.parametrize("settings", [Settings, WorkerSettings, KeySettings])
def test_outside_development_the_keys_of_webhooks_must_be_set(settings: type[KeySettings]) -> None:
    with pytest.raises(ValidationError) as caught:
        settings.model_validate({name: value for name, value in PRODUCTION.items() if name != "webhook_keys"})

    sentence = f"SERVICE_WEBHOOK_KEYS must be set in production; {MAKE_WEBHOOK_KEY}"
    assert mistakes(caught.value) == [("", f"Value error, {sentence}")]


def test_in_development_all_processes_have_the_same_key_for_webhooks() -> None:
    assert Settings(database_url=SecretStr(URL)).webhook_keys == KeySettings.load().webhook_keys


def test_in_development_any_key_will_do() -> None:
    settings = Settings(database_url=SecretStr(URL), secret_key=SecretStr("changeme"))

    assert settings.secret_key.get_secret_value() == "changeme"


def test_the_migrations_need_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_DATABASE_URL", URL)
    monkeypatch.setenv("SERVICE_ENVIRONMENT", "production")

    assert DatabaseSettings.load().database_url.get_secret_value() == URL


def test_the_worker_does_without_the_key_that_signs_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_DATABASE_URL", URL)
    monkeypatch.setenv("SERVICE_ENVIRONMENT", "production")
    monkeypatch.setenv("SERVICE_WEBHOOK_KEYS", WEBHOOK_KEY)

    assert "secret_key" not in WorkerSettings.load().model_dump()


def test_no_secret_is_shown() -> None:
    settings = Settings.model_validate(PRODUCTION)

    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(
            {**PRODUCTION, "database_url": "mysql://board:hunter2@db/x", "webhook_keys": f"{WEBHOOK_KEY}x"}
        )

    shown = f"{settings!r} {settings} {caught.value}"
    assert "hunter2" not in shown
    assert GOOD_KEY not in shown
    assert WEBHOOK_KEY not in shown
