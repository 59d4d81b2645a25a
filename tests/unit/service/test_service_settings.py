"""What the service refuses to start with."""

import os

import pytest
from pydantic import SecretStr, ValidationError

from service.settings import (
    DEVELOPMENT_KEY,
    URL_FORM,
    DatabaseSettings,
    KeySettings,
    Settings,
    WorkerSettings,
    complaint,
)

URL = "postgresql+asyncpg://board:hunter2@db:5432/board"
GOOD_KEY = "0f9c1d7e5b3a48266c8e1f70d2b4a69385c7e0f1a27c64d83b5e90f2c71d4e68"

WEBHOOK_KEY = "7mWv0xQk3nS1uY9bJ4cT6hR2pL8zA5dFgEoIiKqXyNM="
PRODUCTION = {
    "database_url": URL,
    "environment": "production",
    "secret_key": GOOD_KEY,
    "webhook_keys": WEBHOOK_KEY,
}


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of these tests are their own, not those of the machine or of the run."""
    for name in os.environ:
        if name.startswith("SERVICE_"):
            monkeypatch.delenv(name)


def mistakes(error: ValidationError) -> list[tuple[str, str]]:
    return [(".".join(map(str, entry["loc"])), entry["msg"]) for entry in error.errors()]


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_DATABASE_URL", URL)
    monkeypatch.setenv("SERVICE_SECRET_KEY", GOOD_KEY)
    monkeypatch.setenv("SERVICE_TOKEN_LIFETIME", "60")
    monkeypatch.setenv("SERVICE_WEBHOOK_KEYS", f"{WEBHOOK_KEY}, {GOOD_KEY[:43]}=")
    monkeypatch.setenv("SERVICE_ENVIRONMENT", "production")

    settings = Settings.load()

    assert settings == Settings(
        database_url=SecretStr(URL),
        secret_key=SecretStr(GOOD_KEY),
        token_lifetime=60,
        webhook_keys=(SecretStr(WEBHOOK_KEY), SecretStr(f"{GOOD_KEY[:43]}=")),
        environment="production",
    )


def test_the_address_of_the_database_is_all_that_development_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVICE_DATABASE_URL", URL)

    settings = Settings.load()

    assert settings.environment == "development"


def test_a_key_that_nobody_set_is_another_at_each_start() -> None:
    first, second = (Settings(database_url=SecretStr(URL)).secret_key.get_secret_value() for _ in range(2))

    assert first != second
    assert len(first) == len(second) == 64


def test_without_a_database_nothing_starts() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.load()

    assert mistakes(caught.value) == [("database_url", "Field required")]


def test_each_mistake_is_told_by_the_variable_and_without_its_value() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"database_url": "hunter2", "port": "hunter2", "environment": "production"})

    assert complaint(caught.value).splitlines() == [
        f"SERVICE_DATABASE_URL: is not a URL; write {URL_FORM}",
        "SERVICE_PORT: Input should be a valid integer, unable to parse string as an integer",
    ]


def test_a_mistake_of_several_settings_names_them_itself() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"database_url": URL, "webhook_lease": "1"})

    assert complaint(caught.value) == "SERVICE_WEBHOOK_LEASE must be at least twice SERVICE_WEBHOOK_TIMEOUT"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "board",
            "Value error, is not a URL; write postgresql+asyncpg://user:password@host:port/database",
        ),
        (
            "postgresql://db/board",
            (
                "Value error, names the driver 'postgresql'; "
                "write postgresql+asyncpg://user:password@host:port/database"
            ),
        ),
        ("postgresql+asyncpg://db:5432", "Value error, names no database; add /database to its end"),
    ],
)
def test_an_address_that_asyncpg_cannot_use_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(database_url=SecretStr(url))

    assert mistakes(caught.value) == [("database_url", sentence)]


@pytest.mark.parametrize("environment", ["staging", "production"])
@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        pytest.param("", "SERVICE_SECRET_KEY must have at least 64 bytes", id="empty"),
        pytest.param(GOOD_KEY[:63], "SERVICE_SECRET_KEY must have at least 64 bytes", id="a byte short"),
        pytest.param(
            "Change-Me-" + GOOD_KEY,
            "SERVICE_SECRET_KEY is a placeholder; make one with: openssl rand -base64 48",
            id="a placeholder",
        ),
        pytest.param(
            "0123456" * 10,
            "SERVICE_SECRET_KEY is a placeholder; make one with: openssl rand -base64 48",
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

    assert mistakes(caught.value) == [("", "Value error, SERVICE_SECRET_KEY must be set in production")]


MAKE_ONE = "make one with: openssl rand -base64 32"


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

    sentence = f"SERVICE_WEBHOOK_KEYS must be 32 bytes in base64; {MAKE_ONE}"
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

    sentence = f"SERVICE_WEBHOOK_KEYS holds a placeholder; {MAKE_ONE}"
    assert mistakes(caught.value) == [("", f"Value error, {sentence}")]


@pytest.mark.parametrize("settings", [Settings, WorkerSettings, KeySettings])
def test_outside_development_the_keys_of_webhooks_must_be_set(settings: type[KeySettings]) -> None:
    with pytest.raises(ValidationError) as caught:
        settings.model_validate({name: value for name, value in PRODUCTION.items() if name != "webhook_keys"})

    sentence = f"SERVICE_WEBHOOK_KEYS must be set in production; {MAKE_ONE}"
    assert mistakes(caught.value) == [("", f"Value error, {sentence}")]


def test_in_development_all_processes_have_the_same_key_for_webhooks() -> None:
    assert Settings(database_url=SecretStr(URL)).webhook_keys == KeySettings.load().webhook_keys


def test_in_development_any_key_will_do() -> None:
    settings = Settings(database_url=SecretStr(URL), secret_key=SecretStr("changeme"))

    assert settings.secret_key.get_secret_value() == "changeme"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("token_lifetime", 0, "Input should be greater than 0"),
        ("pool_size", 0, "Input should be greater than 0"),
        ("port", 65536, "Input should be less than or equal to 65535"),
        ("environment", "test", "Input should be 'development', 'staging' or 'production'"),
    ],
)
def test_a_value_out_of_range_is_refused(name: str, value: object, sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"database_url": URL, name: value})

    assert mistakes(caught.value) == [(name, sentence)]


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("", ()),
        ("https://board.example", ("https://board.example",)),
        (
            " https://board.example , http://localhost:3000,",
            ("https://board.example", "http://localhost:3000"),
        ),
    ],
)
def test_origins_have_commas_between(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SERVICE_DATABASE_URL", URL)
    monkeypatch.setenv("SERVICE_CORS_ORIGINS", text)

    assert Settings.load().cors_origins == origins


@pytest.mark.parametrize("origin", ["*", "board.example", "https://board.example/", "https://*.example"])
def test_what_no_browser_sends_is_no_origin(origin: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"database_url": URL, "cors_origins": [origin]})

    assert [name for name, _ in mistakes(caught.value)] == ["cors_origins.0"]


def test_argon2_needs_eight_kibibytes_a_lane() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(database_url=SecretStr(URL), argon2_memory_cost=31, argon2_parallelism=4)

    sentence = "SERVICE_ARGON2_MEMORY_COST must be at least 8 times SERVICE_ARGON2_PARALLELISM"
    assert mistakes(caught.value) == [("", f"Value error, {sentence}")]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"webhook_timeout": 31, "webhook_lease": 60},
            "SERVICE_WEBHOOK_LEASE must be at least twice SERVICE_WEBHOOK_TIMEOUT",
        ),
        (
            {**PRODUCTION, "webhook_private_targets": True},
            "SERVICE_WEBHOOK_PRIVATE_TARGETS is for development only",
        ),
    ],
)
def test_webhooks_that_would_not_be_safe_are_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"database_url": URL, **values})

    assert mistakes(caught.value) == [("", f"Value error, {sentence}")]


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
