from __future__ import annotations

import importlib.util
import sys

import pytest

from pgharness.schema import tasks
from tests.support.schema_projects import ASYNC_ENV, SYNC_ENV


@pytest.mark.parametrize(
    ("url", "env_py", "expected"),
    [
        ("postgresql+asyncpg://u@h/d", SYNC_ENV, "asyncpg"),
        ("postgresql+psycopg://u@h/d", ASYNC_ENV, "psycopg"),
        ("postgresql+unheard_of://u@h/d", SYNC_ENV, "psycopg"),
        ("driver://user:pass@localhost/dbname", SYNC_ENV, "psycopg"),
        ("driver://user:pass@localhost/dbname", ASYNC_ENV, "asyncpg"),
        ("", "connectable = AsyncEngine(engine)", "asyncpg"),
        ("", "engine = create_async_engine(url)", "asyncpg"),
        ("%(NOT_SET)s", "", "psycopg"),
    ],
)
def test_the_driver_of_the_url_given_to_env_py(url: str, env_py: str, expected: str) -> None:
    assert tasks.driver(url, env_py) == expected


@pytest.mark.parametrize(
    ("importable", "url", "expected"),
    [
        ({"psycopg2"}, "", "psycopg2"),
        ({"psycopg2"}, "postgresql+psycopg2://", "psycopg2"),
        (set(), "", "asyncpg"),
        ({"psycopg"}, "postgresql+psycopg2://", "psycopg"),
    ],
)
def test_only_what_can_be_imported(
    monkeypatch: pytest.MonkeyPatch, importable: set[str], url: str, expected: str
) -> None:
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: sys.modules[__name__].__spec__ if name in importable else None,
    )

    assert tasks.driver(url, "") == expected
