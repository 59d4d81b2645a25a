"""Sessions that fixtures of wider scope hold: they go on with a transaction in which they have only read."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import Sender, Wired

SYNC = wire.SYNC
CARRIED = ["error 0A000 refused: transaction_of_earlier_test", "ready E"]


@pytest.fixture
def wired() -> Wired:
    return Wired()


def _held(wired: Wired, *sql: str) -> Sender:
    """A client that a fixture of wider scope holds, after a test in which it has sent ``sql``."""
    client = wired.client()
    for statement in sql:
        client.query(statement)
    wired.end(held=[client.client.pid])
    return client


def test_a_session_that_is_held_goes_on_with_a_transaction_in_which_it_has_only_read(wired: Wired) -> None:
    client = _held(wired, "BEGIN", "SELECT x FROM t")

    assert wired.reports[-1].refusals == []
    for test in ("test_y", "test_z"):
        wired.begin(test)
        assert client.query("INSERT INTO t VALUES (1)") == ["INSERT 0 1", "ready T"]
        assert client.query("COMMIT") == ["COMMIT", "ready I"]
        assert client.query("BEGIN; SELECT 5")[-1] == "ready T"
        assert wired.end(held=[client.client.pid]) == []
    assert wired.server.session.rows == []


def test_what_it_then_writes_is_part_of_that_transaction(wired: Wired) -> None:
    client = _held(wired, "BEGIN; SELECT 5")
    wired.begin("test_y")
    client.query("INSERT INTO t VALUES (1)")

    assert client.query("ROLLBACK") == ["ROLLBACK", "ready I"]
    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK"])
def test_it_may_be_ended_in_a_later_test(wired: Wired, sql: str) -> None:
    client = _held(wired, "BEGIN; SELECT 5")
    wired.begin("test_y")

    assert client.query(sql) == [sql, "ready I"]
    assert wired.end() == []


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (1)",
        "SAVEPOINT a",
        "LOCK TABLE t",
    ],
)
def test_a_session_that_is_held_does_not_go_on_with_what_it_has_done(wired: Wired, sql: str) -> None:
    client = _held(wired, "BEGIN", sql)

    assert [kind for kind, _ in (refused.args for refused in wired.reports[-1].refusals)] == ["left_open"]
    wired.begin("test_y")
    assert client.query("SELECT 1") == CARRIED


def test_nor_with_a_transaction_that_promises_one_snapshot(wired: Wired) -> None:
    client = _held(wired, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 5")

    assert [refused.kind for refused in wired.reports[-1].refusals] == ["left_open"]
    wired.begin("test_y")
    assert client.query("SELECT 1") == CARRIED


def test_nor_with_one_that_has_failed(wired: Wired) -> None:
    client = _held(wired, "BEGIN", "SELECT 1/0")

    wired.begin("test_y")
    assert client.query("SELECT 1") == CARRIED


def test_another_session_than_the_held_one_does_not_go_on(wired: Wired) -> None:
    other = wired.client()
    other.query("BEGIN; SELECT 5")
    _held(wired, "BEGIN; SELECT 6")

    assert [refused.kind for refused in wired.reports[-1].refusals] == ["left_open"]
    wired.begin("test_y")
    assert other.query("SELECT 1") == CARRIED
