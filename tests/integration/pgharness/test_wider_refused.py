"""What a fixture of wider scope may not do is refused in its name, and tests without it go on."""

from __future__ import annotations

import re

import pytest

from tests.support.project import Project
from tests.support.wide_fixtures import run_one, said

KEPT = (
    "It belongs to one connection to the server, and tests of its scope have others.\n"
    "To fix this: make it in a fixture of function scope"
)
LEFT = (
    "fixture 'db' leaves a transaction open in which it has written.\n"
    "What it makes for several tests has to be committed before the first of them.\n"
    "Checked:\n"
    "  - begun at {}\n"
    "To fix this: commit, and close the session, before the fixture's yield or return"
)
DB = """
@pytest.fixture(scope="{scope}")
def db():
    {code}
"""
ONE = """
@pytest.mark.parametrize("n", range(2))
def test_with(db, pg_database, n):
    pass

def test_without(pg_database):
    assert items() == {}
    insert("of a test")
"""
CODE = {
    "a session": (
        "with Session(engine) as session: session.execute(text(INSERT.format('left'))); yield",
        LEFT.format("conftest.py:5 in db"),
    ),
    "psycopg": (
        "with psycopg.connect(URL) as connection: connection.execute(INSERT.format('left')); yield",
        LEFT.format("connection N"),
    ),
    "a temporary table": (
        "with autocommit() as connection: connection.execute('CREATE TEMP TABLE kept ()'); yield",
        f"fixture 'db' keeps the temporary table kept for its tests.\n{KEPT}",
    ),
    "an advisory lock": (
        "with autocommit() as connection: connection.execute('SELECT pg_advisory_lock(7)'); yield",
        f"fixture 'db' keeps an advisory lock for its tests.\n{KEPT}",
    ),
}


@pytest.mark.parametrize("scope", ["session", "module"])
@pytest.mark.parametrize("what", CODE)
def test_what_it_leaves(empty_project: Project, scope: str, what: str) -> None:
    code, sentence = CODE[what]

    result = run_one(empty_project, DB.format(scope=scope, code=code), ONE)

    assert result.outcomes == {"passed": 1, "error": 2}, result.output
    found = [re.sub(r"connection \d+", "connection N", error) for error in said(result)]
    assert found == [sentence] * 2, result.output


@pytest.mark.parametrize("code", [
    "with psycopg.connect(URL) as c: c.execute('CREATE TEMP TABLE gone ()')",
    "with psycopg.connect(URL) as c: c.execute('SELECT pg_advisory_lock(7)')",
    "with psycopg.connect(URL) as c: c.execute('SELECT pg_advisory_xact_lock(7)')",
    "c = psycopg.connect(URL); c.execute(INSERT.format('x')); c.rollback(); yield; c.close()",
])  # fmt: skip
def test_what_has_ended_with_its_connection_is_not_left(empty_project: Project, code: str) -> None:
    result = run_one(empty_project, DB.format(scope="session", code=code), ONE)

    assert (result.code, result.outcomes) == (0, {"passed": 3}), result.output


@pytest.mark.parametrize("isolation", ["rollback", "database"])
def test_where_its_set_up_fails_nothing_of_it_is_missed(empty_project: Project, isolation: str) -> None:
    conftest = DB.format(scope="module", code="insert('committed'); raise ValueError('set-up')")
    tests = """
def test_with(db, pg_database):
    pass

@pytest.mark.parametrize("n", range(2))
def test_without(pg_database, n):
    assert list(items()) == ["committed"]  # as on a database without a harness
    insert("of a test")
"""
    result = run_one(empty_project, conftest, f"{tests}\n{tests.replace('test_with', 'test_again')}")

    assert result.outcomes == {"passed": 4, "error": 2}, result.output
    assert result.output.count("ValueError: set-up") >= 2


# -- one that comes late ---------------------------------------------------------------------------------

LATE = DB.format(scope="session", code="begin('of the session')")
IN_TEST = """
def test_it(pg_database, request):
    {before}
    request.getfixturevalue("db")
    assert items() == LIVE
    insert("of a test")

def test_next(pg_database, db):
    assert items() == LIVE
"""


@pytest.mark.parametrize("isolation", ["rollback", "database"])
def test_one_that_writes_after_its_test_has_used_the_database(empty_project: Project, isolation: str) -> None:
    tests = IN_TEST.format(before="insert('early')")

    result = run_one(empty_project, LATE, tests, f"--pg-isolation={isolation}")

    assert result.outcomes == {"failed": 1, "error": 1}, result.output
    assert said(result)[0] == (
        "test_it.py::test_it: fixture 'db', whose scope is wider than the test, has written after the "
        "test has used the database.\n"
        "Its rows are undone with those of the test, and other tests of its scope would miss them.\n"
        "To fix this: name 'db' among the test's arguments, or in usefixtures, so that it is set up first"
    )


@pytest.mark.parametrize("isolation", ["rollback", "database", "auto"])
def test_one_that_a_test_asks_for_before_it_uses_the_database(empty_project: Project, isolation: str) -> None:
    result = run_one(empty_project, LATE, IN_TEST.format(before=""), f"--pg-isolation={isolation}")

    assert (result.code, result.outcomes) == (0, {"passed": 2}), result.output


def test_one_that_only_reads_may_come_late(empty_project: Project) -> None:
    conftest = DB.format(scope="session", code="return len(items())")
    tests = """
def test_it(pg_database, request):
    insert("early")
    assert request.getfixturevalue("db") == 1
"""
    result = run_one(empty_project, conftest, tests)

    assert (result.code, result.outcomes) == (0, {"passed": 1}), result.output


def test_one_that_a_narrower_fixture_asks_for_after_it_has_written(empty_project: Project) -> None:
    conftest = (
        LATE
        + """
@pytest.fixture(scope="module")
def narrower(request):
    insert("of the module")
    request.getfixturevalue("db")
"""
    )

    result = run_one(empty_project, conftest, "def test_it(narrower, pg_database):\n    pass\n")

    assert result.outcomes == {"error": 1}, result.output
    assert said(result)[0] == (
        "fixture 'db' has written after 'narrower', whose scope is narrower.\n"
        "At the end of the narrower scope its rows would be undone with the others.\n"
        "To fix this, either:\n"
        "  - have 'narrower' ask for 'db', so that it is set up first\n"
        "  - have every test ask for 'db': autouse=True, or usefixtures in the pytest ini\n"
        "  - give 'db' the narrower scope"
    )
