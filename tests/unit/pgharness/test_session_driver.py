"""Which driver ``db_session`` gets where nobody has said it."""

import sys

import pytest

from pgharness.fixtures.sessions import choose_driver

ASYNCPG, PSYCOPG = "A={asyncpg_url}", "A={psycopg_url}"


@pytest.fixture
def _psycopg_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", sys)


@pytest.mark.usefixtures("_psycopg_imported")
@pytest.mark.parametrize(("option", "env", "connected", "plain", "chosen"), [
    ("psycopg", [ASYNCPG], ["asyncpg"], False, "psycopg"),  # as was said
    ("auto", [ASYNCPG], ["psycopg"], True, "asyncpg"),  # pg_env names one
    ("auto", [PSYCOPG], ["asyncpg"], False, "psycopg"),
    ("auto", [ASYNCPG, PSYCOPG], ["psycopg", "asyncpg"], False, "psycopg"),  # both, so what connected first
    ("auto", ["A={url}"], ["asyncpg", "psycopg"], True, "asyncpg"),  # none, so the same
    ("auto", ["A={url}"], ["psycopg2", "psycopg"], False, "psycopg"),
    ("auto", ["A={url}"], ["psycopg2", "psycopg"], True, "psycopg2"),  # which serves plain tests alone
    ("auto", ["A={psycopg2_url}"], [], True, "psycopg2"),
    ("auto", ["A={psycopg2_url}", PSYCOPG], ["psycopg"], True, "psycopg"),
    ("auto", ["A={psycopg2_url}"], [], False, "asyncpg"),
    ("psycopg2", [PSYCOPG], [], True, "psycopg2"),
    ("psycopg2", [PSYCOPG], [], False, "asyncpg"),
    ("auto", ["A={url}"], [], True, "psycopg"),  # nothing tells, and the project has imported psycopg
    ("auto", ["A={url}"], [], False, "asyncpg"),
])  # fmt: skip
def test_the_driver_is_what_was_said_or_what_the_app_uses(
    option: str, env: list[str], connected: list[str], *, plain: bool, chosen: str
) -> None:
    assert choose_driver(option, env, connected, plain=plain) == chosen


def test_a_plain_test_of_a_project_that_never_imports_psycopg_gets_asyncpg(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("psycopg", "psycopg2"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    assert choose_driver("auto", [], [], plain=True) == "asyncpg"
