"""Settings that the service starts with, and what it says of others."""

from __future__ import annotations

from pydantic import ValidationError

URL = "postgresql+asyncpg://board:hunter2@db:5432/board"
GOOD_KEY = "0f9c1d7e5b3a48266c8e1f70d2b4a69385c7e0f1a27c64d83b5e90f2c71d4e68"

WEBHOOK_KEY = "7mWv0xQk3nS1uY9bJ4cT6hR2pL8zA5dFgEoIiKqXyNM="
PRODUCTION = {
    "database_url": URL,
    "environment": "production",
    "secret_key": GOOD_KEY,
    "webhook_keys": WEBHOOK_KEY,
}


def mistakes(error: ValidationError) -> list[tuple[str, str]]:
    return [(".".join(map(str, entry["loc"])), entry["msg"]) for entry in error.errors()]
