"""Simple queries of several statements, with BEGIN and COMMIT among them."""

from __future__ import annotations

import re

import pytest

from tests.support.wired import Wired


@pytest.fixture
def wired() -> Wired:
    return Wired()


@pytest.mark.parametrize(
    ("script", "said", "rows"),
    [
        ("", ["empty"], ""),
        (" ; -- nothing\n;", ["empty"], ""),
        ("SELECT 1; SELECT 2", ["columns", "row 1", "SELECT 1", "columns", "row 2", "SELECT 1"], ""),
        ("INSERT INTO t VALUES (1); SELECT 1/0", ["INSERT 0 1", "error 22012 division by zero"], ""),
        ("INSERT INTO t VALUES (1); COMMIT; SELECT 1/0",
         ["INSERT 0 1", "notice 25P01 there is no transaction in progress", "COMMIT",
          "error 22012 division by zero"], "1"),
        ("INSERT INTO t VALUES (1); ROLLBACK; INSERT INTO t VALUES (2)",
         ["INSERT 0 1", "notice 25P01 there is no transaction in progress", "ROLLBACK", "INSERT 0 1"], "2"),
        ("BEGIN; INSERT INTO t VALUES (1); COMMIT", ["BEGIN", "INSERT 0 1", "COMMIT"], "1"),
        ("BEGIN; INSERT INTO t VALUES (1); ROLLBACK", ["BEGIN", "INSERT 0 1", "ROLLBACK"], ""),
        ("BEGIN; SELECT 1/0; COMMIT", ["BEGIN", "error 22012 division by zero"], "failed"),
        ("INSERT INTO t VALUES (1); BEGIN; INSERT INTO t VALUES (2); ROLLBACK",
         ["INSERT 0 1", "BEGIN", "INSERT 0 1", "ROLLBACK"], ""),
        ("BEGIN; INSERT INTO t VALUES (1); SAVEPOINT a; INSERT INTO t VALUES (2); ROLLBACK TO a; COMMIT",
         ["BEGIN", "INSERT 0 1", "SAVEPOINT", "INSERT 0 1", "ROLLBACK", "COMMIT"], "1"),
    ],
)  # fmt: skip
def test_a_script_is_answered_as_by_postgresql(wired: Wired, script: str, said: list[str], rows: str) -> None:
    one, two = wired.client(), wired.client()

    found = one.query(script)

    assert found == [*said, "ready E" if rows == "failed" else "ready I"]
    if rows != "failed":
        assert " ".join(re.findall(r"row (\d+)", " ".join(two.query("SELECT x FROM t")))) == rows


@pytest.mark.parametrize(
    ("script", "position"), [("nonsense", 1), ("BEGIN; nonsense", 8), ("BEGIN; SAVEPOINT ä;\n nonsense", 22)]
)
def test_the_position_of_an_error_is_that_in_the_script(wired: Wired, script: str, position: int) -> None:
    said = wired.client().query(script)

    assert said[-2] == f"error 42601 syntax error at 'nonsense', at {position}"
