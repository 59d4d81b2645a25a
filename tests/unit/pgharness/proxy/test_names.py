"""Names in SQL that several clients give to different things: PREPARE, DECLARE, and who throws what away."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import Wired, bind, close, describe, execute, extended, parse

SYNC = wire.SYNC


@pytest.fixture
def wired() -> Wired:
    return Wired()


@pytest.mark.parametrize("name", ["p", '"P q"', "P"])
def test_each_client_has_its_prepared_statement(wired: Wired, name: str) -> None:
    one, two = wired.client(), wired.client()
    for number, client in enumerate((one, two), 1):
        assert client.query(f"PREPARE {name} AS SELECT {number}") == ["PREPARE", "ready I"]

    said = [client.query(f"EXECUTE {name}")[1] for client in (one, two, one)]

    assert said == ["row 1", "row 2", "row 1"]


def test_the_statement_of_another_is_unknown(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("PREPARE p AS SELECT 1")
    unknown = ['error 26000 prepared statement "p" does not exist', "ready I"]

    assert two.query("EXECUTE p") == unknown
    assert two.query("DEALLOCATE p") == unknown
    assert two.send(bind("p") + SYNC) == unknown
    assert two.send(describe("S", "p") + SYNC) == unknown
    assert two.send(close("S", "p") + SYNC) == ["closed", "ready I"]
    assert one.query("EXECUTE p")[1] == "row 1"


def test_a_statement_is_prepared_once(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    for client in (one, two):
        client.query("PREPARE p AS SELECT 1")

    for client in (one, two):
        assert client.query("PREPARE p AS SELECT 2")[0].startswith("error 42P05 prepared statement ")


def test_a_statement_of_sql_is_used_through_the_protocol(wired: Wired) -> None:
    client = wired.client()
    client.query("PREPARE p AS SELECT 1")

    said = client.send(describe("S", "p") + bind("p") + execute() + SYNC)

    assert said == ["parameters", "columns", "bound", "row 1", "SELECT 1", "ready I"]
    assert client.send(close("S", "p") + SYNC) == ["closed", "ready I"]
    assert client.query("EXECUTE p") == ['error 26000 prepared statement "p" does not exist', "ready I"]


def test_a_statement_of_the_protocol_is_used_in_sql(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.send(parse("SELECT 1", "p") + SYNC)
    two.query("PREPARE p AS SELECT 2")

    assert [client.query("EXECUTE p")[1] for client in (one, two)] == ["row 1", "row 2"]
    assert one.query("DEALLOCATE p") == ["DEALLOCATE", "ready I"]
    assert one.send(bind("p") + SYNC)[0] == 'error 26000 prepared statement "p" does not exist'
    assert two.query("EXECUTE p")[1] == "row 2"


def test_a_name_that_has_been_given_up_can_be_used_again(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    for number in range(3):
        for client in (one, two):
            assert client.query(f"PREPARE p AS SELECT {number}") == ["PREPARE", "ready I"]
            assert client.query("EXECUTE p")[1] == f"row {number}"
            assert client.query("DEALLOCATE p") == ["DEALLOCATE", "ready I"]


@pytest.mark.parametrize("sql", ["DEALLOCATE ALL", "DEALLOCATE PREPARE ALL", "DISCARD ALL"])
def test_all_statements_are_those_of_one_client(wired: Wired, sql: str) -> None:
    one, two = wired.client(), wired.client()
    for client in (one, two):
        client.query("PREPARE p AS SELECT 1")
        client.send(parse("SELECT 2", "q") + SYNC)

    assert one.query(sql)[-1] == "ready I"

    assert one.query("EXECUTE p")[0] == 'error 26000 prepared statement "p" does not exist'
    assert one.send(bind("q") + SYNC)[0] == 'error 26000 prepared statement "q" does not exist'
    assert two.query("EXECUTE p")[1] == "row 1"
    assert two.send(bind("q") + execute() + SYNC)[1] == "row 2"
    assert one.query("PREPARE p AS SELECT 3") == ["PREPARE", "ready I"]
    assert one.query("EXECUTE p")[1] == "row 3"


def test_prepared_statements_outlive_a_rollback_and_a_test(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN; PREPARE p AS SELECT 1; ROLLBACK")
    client.send(parse("SELECT 2", "q") + SYNC)
    wired.end()
    wired.begin("test_y")

    assert client.query("EXECUTE p")[1] == "row 1"
    assert client.send(bind("q") + execute() + SYNC)[1] == "row 2"


def test_what_was_prepared_while_a_schema_stood_is_prepared_again(wired: Wired) -> None:
    client = wired.client()
    client.query("CREATE TABLE u (x int)")
    client.send(parse("SELECT 2", "q") + SYNC)
    wired.end()
    wired.begin("test_y")
    wired.take_sent()

    assert client.send(bind("q") + execute() + SYNC) == ["bound", "row 2", "SELECT 1", "ready I"]
    assert [line for line in wired.take_sent() if line.startswith(("P", "C S"))] == [
        "C S pgh_1",
        "P pgh_2 SELECT 2",
    ]


# -- cursors ---------------------------------------------------------------------------------------


def test_each_client_has_its_cursor(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    for number, client in ((1, one), (5, two)):
        client.query("BEGIN")
        said = client.query(f"DECLARE c CURSOR FOR SELECT generate_series({number}, {number + 1})")
        assert said == ["DECLARE CURSOR", "ready T"]

    said = [client.query("FETCH c")[1] for client in (one, two, one, two)]

    assert said == ["row 1", "row 5", "row 2", "row 6"]
    assert [client.query("CLOSE c") for client in (one, two)] == [["CLOSE CURSOR", "ready T"]] * 2


@pytest.mark.parametrize("sql", ["FETCH c", "CLOSE c"])
def test_the_cursor_of_another_is_unknown(wired: Wired, sql: str) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN; DECLARE c CURSOR FOR SELECT 1")

    assert two.query(sql) == ['error 34000 cursor "c" does not exist', "ready I"]
    assert two.send(describe("P", "c") + SYNC) == ['error 34000 portal "c" does not exist', "ready I"]
    assert two.send(execute("c") + SYNC) == ['error 34000 portal "c" does not exist', "ready I"]
    assert one.query("FETCH c")[1] == "row 1"


def test_a_declared_cursor_is_read_through_the_protocol(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 3)")

    said = client.send(describe("P", "c") + execute("c", 2) + SYNC)

    assert said == ["columns", "row 1", "row 2", "suspended", "ready T"]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_cursors_end_with_their_transaction(wired: Wired, end: str) -> None:
    one, two = wired.client(), wired.client()
    for client in (one, two):
        client.query("BEGIN; DECLARE c CURSOR FOR SELECT 1")

    two.query(end)

    assert two.query("FETCH c")[0] == 'error 34000 cursor "c" does not exist'
    assert one.query("FETCH c")[1] == "row 1"
    assert two.query("BEGIN; DECLARE c CURSOR FOR SELECT 7") == ["BEGIN", "DECLARE CURSOR", "ready T"]
    assert two.query("FETCH c")[1] == "row 7"


def test_a_cursor_outlives_a_commit_beneath_it(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN; INSERT INTO t VALUES (1)")
    two.query("BEGIN; DECLARE c CURSOR FOR SELECT 5")

    one.query("COMMIT")

    assert two.query("FETCH c")[1] == "row 5"


def test_a_rollback_beneath_the_cursor_of_another_is_refused(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN; INSERT INTO t VALUES (1)")
    two.query("BEGIN; DECLARE c CURSOR FOR SELECT 5")

    one.query("ROLLBACK")

    assert two.query("FETCH c")[0].startswith("error 0A000 refused")


def test_close_all_closes_ones_own(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    for client in (one, two):
        client.query("BEGIN; DECLARE c CURSOR FOR SELECT 1")

    assert one.query("CLOSE ALL") == ["CLOSE CURSOR ALL", "ready T"]

    assert two.query("FETCH c")[1] == "row 1"
    assert one.query("FETCH c")[0] == 'error 34000 cursor "c" does not exist'


def test_what_a_client_has_prepared_goes_with_it(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("PREPARE p AS SELECT 1")
    one.send(parse("SELECT 2", "q") + extended("SELECT 3") + SYNC)
    one.query("BEGIN; DECLARE c CURSOR FOR SELECT 1")

    one.leave()
    two.send(extended("SELECT 4") + SYNC)
    two.send(extended("SELECT 4") + SYNC)

    assert {prepared.sql for prepared in wired.server.prepared.values()} == {"SELECT 4"}
    assert wired.server.portals == {}
