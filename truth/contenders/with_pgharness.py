"""pgharness: its own fixtures, by the names that the behaviours use."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def db(db_session: Any) -> Any:
    return db_session


@pytest.fixture
def url(pg_database: Any) -> str:
    return str(pg_database.asyncpg_url)
