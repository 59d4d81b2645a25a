"""Transactions of several clients inside one, statement by statement."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import Wired, extended

ABORTED = "error 25P02 current transaction is aborted, commands ignored until end of transaction block"


@pytest.fixture
def wired() -> Wired:
    return Wired()


# -- what it costs ---------------------------------------------------------------------------------


def test_begin_and_commit_cost_no_message(wired: Wired) -> None:
    client = wired.client()

    said = [client.query("BEGIN"), client.query("COMMIT"), client.query("START TRANSACTION")]

    assert said == [["BEGIN", "ready T"], ["COMMIT", "ready I"], ["START TRANSACTION", "ready T"]]
    assert wired.take_sent() == []


def test_a_savepoint_travels_in_the_packet_of_the_statement(wired: Wired) -> None:
    client = wired.client()

    client.put(wire.query("INSERT INTO t VALUES (1)"))

    assert wired.shared.channel.out == wire.query("BEGIN; SAVEPOINT pgh_1") + wire.query(
        "INSERT INTO t VALUES (1)"
    )


def test_the_end_of_a_transaction_travels_with_the_next_statement(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("INSERT INTO t VALUES (1)")
    two.query("SELECT 1/0")
    wired.take_sent()

    one.query("SELECT 1")
    two.query("SELECT 2")

    assert wired.take_sent() == ["Q ROLLBACK TO SAVEPOINT pgh_2", "Q SELECT 1", "Q SELECT 2"]


def test_a_savepoint_of_the_client_travels_with_the_next_statement(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN")

    said = [client.query("SAVEPOINT a"), client.query("INSERT INTO t VALUES (1)"), client.query("RELEASE a")]

    assert said == [["SAVEPOINT", "ready T"], ["INSERT 0 1", "ready T"], ["RELEASE", "ready T"]]
    assert wired.take_sent() == ["Q BEGIN; SAVEPOINT pgh_1; SAVEPOINT pgh_2", "Q INSERT INTO t VALUES (1)"]


# -- who sees and who loses what -------------------------------------------------------------------


def test_clients_see_each_others_commits(wired: Wired) -> None:
    one, two = wired.client(), wired.client()

    one.query("BEGIN; INSERT INTO t VALUES (1); COMMIT")
    two.query("INSERT INTO t VALUES (2)")

    assert one.query("SELECT x FROM t") == ["columns", "row 1", "row 2", "SELECT 2", "ready I"]


def test_a_rollback_undoes_its_own_transaction_alone(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    two.query("INSERT INTO t VALUES (2)")
    one.query("BEGIN")
    one.query("INSERT INTO t VALUES (1)")

    assert one.query("ROLLBACK") == ["ROLLBACK", "ready I"]

    assert two.query("SELECT x FROM t") == ["columns", "row 2", "SELECT 1", "ready I"]


def test_a_failed_statement_fails_its_own_transaction_alone(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    for client, row in ((one, 1), (two, 2)):
        client.query("BEGIN")
        client.query(f"INSERT INTO t VALUES ({row})")

    failed = two.query("SELECT 1/0")

    assert failed == ["error 22012 division by zero", "ready E"]
    assert one.query("SELECT x FROM t") == ["columns", "row 1", "SELECT 1", "ready T"]
    assert two.query("SELECT 1") == [ABORTED, "ready E"]
    assert two.query("COMMIT") == ["ROLLBACK", "ready I"]
    assert one.query("COMMIT") == ["COMMIT", "ready I"]
    assert two.query("SELECT x FROM t") == ["columns", "row 1", "SELECT 1", "ready I"]


def test_a_failed_statement_of_its_own_transaction_costs_nobody_anything(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.query("INSERT INTO t VALUES (1)")

    assert two.query("INSERT INTO t VALUES (1)") == ["error 23505 duplicate key 1", "ready I"]

    assert one.query("SELECT x FROM t") == ["columns", "row 1", "SELECT 1", "ready T"]
    assert two.query("SELECT x FROM t") == ["columns", "row 1", "SELECT 1", "ready I"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1", "BEGIN", "SAVEPOINT b", "RELEASE a", "SET work_mem = '8MB'", "RESET work_mem",
        "RESET ALL",
        "SET TRANSACTION READ ONLY", "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "DISCARD PLANS",
        "DEALLOCATE ALL", "DEALLOCATE x", "CLOSE ALL", "UNLISTEN *", "LISTEN x", "NOTIFY x",
        "SELECT pg_advisory_unlock_all()",
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["simple", "extended"])
def test_a_failed_transaction_does_nothing(wired: Wired, sql: str, how: str) -> None:
    client = wired.client()
    client.query("BEGIN; SAVEPOINT a")
    client.query("SELECT 1/0")

    said = client.query(sql) if how == "simple" else client.send(extended(sql) + wire.SYNC)

    assert [line for line in said if line not in ("parsed", "bound")] == [ABORTED, "ready E"]


def test_a_failed_transaction_goes_back_to_its_savepoint(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.query("INSERT INTO t VALUES (1)")
    one.query("SAVEPOINT a")
    one.query("INSERT INTO t VALUES (2)")
    one.query("SELECT 1/0")
    two.query("INSERT INTO t VALUES (3)")

    assert one.query("ROLLBACK TO a") == ["ROLLBACK", "ready T"]

    assert one.query("SELECT x FROM t") == ["columns", "row 1", "row 3", "SELECT 2", "ready T"]
    assert one.query("COMMIT") == ["COMMIT", "ready I"]


@pytest.mark.parametrize("verb", ["RELEASE", "ROLLBACK TO"])
def test_an_unknown_savepoint_is_an_error(wired: Wired, verb: str) -> None:
    client = wired.client()
    client.query("BEGIN")

    assert client.query(f"{verb} a") == ['error 3B001 savepoint "a" does not exist', "ready E"]


def test_a_savepoint_of_another_client_is_unknown(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    for client in (one, two):
        client.query("BEGIN")
    one.query("SAVEPOINT a")

    assert two.query("ROLLBACK TO a") == ['error 3B001 savepoint "a" does not exist', "ready E"]
    assert one.query("ROLLBACK TO a") == ["ROLLBACK", "ready T"]


# -- the words of PostgreSQL -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("COMMIT", ["notice 25P01 there is no transaction in progress", "COMMIT"]),
        ("ROLLBACK", ["notice 25P01 there is no transaction in progress", "ROLLBACK"]),
        ("SAVEPOINT a", ["error 25P01 SAVEPOINT can only be used in transaction blocks"]),
        ("RELEASE a", ["error 25P01 RELEASE SAVEPOINT can only be used in transaction blocks"]),
        ("ROLLBACK TO a", ["error 25P01 ROLLBACK TO SAVEPOINT can only be used in transaction blocks"]),
        ("COMMIT AND CHAIN", ["error 25P01 COMMIT AND CHAIN can only be used in transaction blocks"]),
        ("ROLLBACK AND CHAIN", ["error 25P01 ROLLBACK AND CHAIN can only be used in transaction blocks"]),
        (
            "SET TRANSACTION READ ONLY",
            ["notice 25P01 SET TRANSACTION can only be used in transaction blocks", "SET"],
        ),
    ],
)
def test_outside_of_a_block(wired: Wired, sql: str, said: list[str]) -> None:
    assert wired.client().query(sql) == [*said, "ready I"]


def test_a_second_begin_is_a_warning(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN")

    assert client.query("BEGIN") == [
        "notice 25001 there is already a transaction in progress",
        "BEGIN",
        "ready T",
    ]


def test_a_chain_begins_the_next_transaction(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.query("INSERT INTO t VALUES (1)")

    assert one.query("COMMIT AND CHAIN") == ["COMMIT", "ready T"]
    one.query("INSERT INTO t VALUES (2)")
    assert one.query("ROLLBACK AND CHAIN") == ["ROLLBACK", "ready T"]

    assert two.query("SELECT x FROM t") == ["columns", "row 1", "SELECT 1", "ready I"]


def test_reading_alone_is_kept_to(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN READ ONLY")

    said = one.query("INSERT INTO t VALUES (1)")

    assert said == ["error 25006 cannot execute INSERT in a read-only transaction", "ready E"]
    assert two.query("INSERT INTO t VALUES (2)") == ["INSERT 0 1", "ready I"]
