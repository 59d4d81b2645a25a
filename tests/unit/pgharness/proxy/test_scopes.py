"""The beginning and the end of tests in the shared transaction."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import Sender, Wired, bind, execute, extended, parse

SYNC = wire.SYNC
CARRIED = ["error 0A000 refused: transaction_of_earlier_test", "ready E"]


@pytest.fixture
def wired() -> Wired:
    return Wired()


def test_a_test_that_sends_nothing_costs_nothing(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN; COMMIT")

    assert wired.end() == []
    assert wired.take_sent() == []


def test_what_a_test_has_done_is_undone(wired: Wired) -> None:
    client = wired.client()
    client.query("INSERT INTO t VALUES (1)")

    assert wired.end() == []
    wired.begin("test_y")

    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]


def test_a_transaction_that_is_left_open_is_told(wired: Wired) -> None:
    one, two = wired.client(application="shop"), wired.client()
    two.query("INSERT INTO t VALUES (1)")
    one.query("BEGIN")
    one.query("INSERT INTO t VALUES (2)")

    assert wired.end() == [("left_open", ["connection 1 of shop, 'INSERT INTO t VALUES (2)'"])]


def test_a_transaction_that_has_sent_nothing_is_not(wired: Wired) -> None:
    wired.client().query("BEGIN")

    assert wired.end() == []


def test_where_a_transaction_began_is_said_by_who_knows_it(wired: Wired) -> None:
    client = wired.client(place=lambda pid: f"shop.py:{pid} in buy")
    client.query("BEGIN; SELECT 1")

    assert wired.end() == [("left_open", ["shop.py:1 in buy"])]


# -- clients that are carried over -----------------------------------------------------------------


def _carried(wired: Wired) -> Sender:
    client = wired.client()
    client.query("BEGIN; INSERT INTO t VALUES (1)")
    wired.end()
    wired.begin("test_y")
    return client


@pytest.mark.parametrize("how", ["simple", "extended"])
def test_a_transaction_of_an_earlier_test_goes_on_nowhere(wired: Wired, how: str) -> None:
    client = _carried(wired)
    message = extended("SELECT 1") + SYNC if how == "extended" else wire.query("SELECT 1")

    said = [client.send(message) for _ in range(2)]

    assert said == [CARRIED, CARRIED]
    assert wired.end() == [
        ("transaction_of_earlier_test", "connection 1, 'SELECT 1'", "test_x"),
        ("transaction_of_earlier_test", "connection 1, 'SELECT 1'", "test_x"),
    ]


@pytest.mark.parametrize("sql", ["ROLLBACK", "COMMIT"])
def test_ending_it_is_all_that_is_left(wired: Wired, sql: str) -> None:
    client = _carried(wired)

    said = client.query(sql)

    assert said == ["ROLLBACK", "ready I"]
    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]
    assert wired.end() == []


@pytest.mark.parametrize("sql", ["BEGIN", "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a", "SET app.x = '1'"])
def test_nothing_else_is(wired: Wired, sql: str) -> None:
    client = _carried(wired)

    assert client.query(sql) == CARRIED


def test_a_transaction_that_no_begin_has_begun_ends_with_its_test(wired: Wired) -> None:
    client = wired.client()
    client.send(extended("INSERT INTO t VALUES (1)") + wire.FLUSH)
    wired.end()
    wired.begin("test_y")

    assert client.send(extended("SELECT 5") + SYNC)[-3:] == ["row 5", "SELECT 1", "ready I"]
    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]


def test_what_is_set_outlives_a_test_unless_a_baseline_is_known(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    two.client.baseline = two.client.settings
    for client in (one, two):
        client.query("SET timezone = 'Asia/Tokyo'")
    wired.end()
    wired.begin("test_y")

    said = [client.query("SHOW timezone") for client in (one, two)]

    assert said == [
        ["columns", "row Asia/Tokyo", "SHOW", "ready I"],
        ["status TimeZone=UTC", "columns", "row UTC", "SHOW", "ready I"],
    ]


def test_what_is_prepared_outlives_a_test_unless_a_baseline_is_known(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    two.query("PREPARE kept AS SELECT 5")
    two.client.baseline, two.client.made_with = two.client.settings, frozenset(("kept",))
    one.query("PREPARE plus AS SELECT 6")
    two.query("PREPARE other AS SELECT 6")
    wired.end()
    wired.begin("test_y")

    assert one.query("EXECUTE plus")[1:] == ["row 6", "SELECT 1", "ready I"]
    assert two.query("EXECUTE kept")[1:] == ["row 5", "SELECT 1", "ready I"]
    assert two.query("PREPARE other AS SELECT 7") == ["PREPARE", "ready I"]


def test_portals_and_cursors_end_with_their_test(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN; DECLARE c CURSOR FOR SELECT 1")
    client.send(parse("SELECT 1", "s") + bind("s", "p") + SYNC)
    wired.end()
    wired.begin("test_y")
    client.query("ROLLBACK")

    assert client.send(execute("p") + SYNC)[0] == 'error 34000 portal "p" does not exist'
    assert client.query("FETCH c")[0] == 'error 34000 cursor "c" does not exist'


def test_the_end_waits_for_the_statement_that_runs(wired: Wired) -> None:
    client = wired.client()
    client.put(wire.query("INSERT INTO t VALUES (1)"))

    assert wired.end() == []

    assert client.answers() == ["INSERT 0 1", "ready I"]
    assert wired.server.session.rows == []


# -- between tests ---------------------------------------------------------------------------------


def test_the_report_does_not_wait_until_the_test_is_undone(wired: Wired) -> None:
    client = wired.client()
    client.query("INSERT INTO t VALUES (1)")

    wired.shared.scopes.end(wired.reports.append)
    client.put(wire.query("SELECT x FROM t"))

    assert wired.reports[-1].refusals == []
    assert client.answers() == []
    wired.settle()
    assert client.answers() == ["columns", "SELECT 0", "ready I"]


def test_between_tests_one_may_read_and_not_write() -> None:
    client = (wired := Wired(begin="")).client()

    said = [client.query(sql) for sql in ("SELECT 5", "INSERT INTO t VALUES (1)", "SELECT 6")]

    assert said == [
        ["columns", "row 5", "SELECT 1", "ready I"],
        ["error 0A000 refused: outside_test", "ready I"],
        ["columns", "row 6", "SELECT 1", "ready I"],
    ]
    assert wired.take_sent()[0].startswith("Q BEGIN READ ONLY; SAVEPOINT ")


def test_a_test_begins_in_a_transaction_of_its_own() -> None:
    client = (wired := Wired(begin="")).client()
    client.query("BEGIN; SELECT 5")
    wired.begin()

    assert client.query("INSERT INTO t VALUES (1)") == ["INSERT 0 1", "ready T"]
    assert client.query("COMMIT") == ["COMMIT", "ready I"]
    assert wired.end() == []


def test_a_test_that_has_not_asked_for_the_database_is_refused(wired: Wired) -> None:
    client = wired.client()
    wired.shared.refused_test = "test_z"

    assert client.query("SELECT 1") == ["error 0A000 refused: outside_test", "ready I"]
    assert client.query("BEGIN; SELECT 1; COMMIT")[1:] == ["error 0A000 refused: outside_test", "ready E"]


def test_sequences_go_back_at_the_beginning_of_a_test_and_after_it() -> None:
    wired = Wired(begin="")
    client = wired.client()
    for name in ("test_x", "test_y"):
        wired.shared.scopes.begin(name, "SELECT 11")
        wired.settle()
        client.query("SELECT 1")
        wired.end()

    assert wired.take_sent() == [
        "Q BEGIN; SELECT 11; SAVEPOINT pgh_1",
        "Q SELECT 1",
        "Q ROLLBACK; SELECT 11",
        "Q BEGIN; SAVEPOINT pgh_1",
        "Q SELECT 1",
        "Q ROLLBACK; SELECT 11",
    ]
