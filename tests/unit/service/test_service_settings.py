"""What the service refuses to start with."""

import pytest
from pydantic import SecretStr, ValidationError

from service.settings import (
    URL_FORM,
    Settings,
    complaint,
)
from tests.support.settings import GOOD_KEY, PRODUCTION, URL, WEBHOOK_KEY, mistakes


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
