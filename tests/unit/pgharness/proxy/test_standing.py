"""What stands still while a test's transaction is shared: the time, the number, the process on the server."""

from __future__ import annotations

import dataclasses

import pytest

from pgharness.proxy.core.standing import reaching
from tests.support.wired import FACTS, Wired

STRICT = dataclasses.replace(FACTS, strict=True, clock=True)
REFUSED = "error 0A000 refused: session_state"
TIME, NUMBER = "SELECT CURRENT_TIMESTAMP", "SELECT txid_current()"


@pytest.mark.parametrize("sql", [TIME, "SELECT LOCALTIMESTAMP", "DO 'BEGIN PERFORM current_time; END'"])
def test_the_time_is_that_of_the_first_transaction(sql: str) -> None:
    wired = Wired(STRICT)
    one, two = wired.client(), wired.client()
    one.query("BEGIN")

    assert REFUSED not in one.query("SELECT 1") + one.query(sql) + one.query("COMMIT")
    assert two.query(sql)[0] == REFUSED
    assert one.query(sql)[0] == REFUSED


def test_the_clock_of_the_tests_is_no_such_time() -> None:
    one, two = (wired := Wired(STRICT)).client(), wired.client()

    assert REFUSED not in one.query("SELECT 1") + two.query("SELECT now(), clock_timestamp(), CURRENT_DATE")


def test_where_time_stands_still_by_choice_nothing_is_refused() -> None:
    one, two = (wired := Wired(dataclasses.replace(STRICT, clock=False))).client(), wired.client()

    assert REFUSED not in one.query("SELECT 1") + two.query(TIME)


def test_a_transaction_has_one_number() -> None:
    one, two = (wired := Wired(STRICT)).client(), wired.client()
    two.query("SELECT 1")
    one.query("BEGIN")

    assert REFUSED not in one.query(NUMBER) + one.query(NUMBER) + one.query("COMMIT")
    assert two.query(NUMBER)[0] == REFUSED


@pytest.mark.parametrize(
    "sql",
    ["SELECT count(*) FROM pg_stat_activity", "SELECT pg_backend_pid(), 1", "TABLE pg_catalog.pg_locks"],
)
def test_what_is_asked_of_the_connection(sql: str) -> None:
    client = Wired(STRICT).client()

    assert client.query(sql)[0] == REFUSED
    assert REFUSED not in client.query("SELECT pg_backend_pid()")


def test_functions_views_and_triggers_that_come_to_it() -> None:
    found = reaching(
        [
            ("stamp", "BEGIN NEW.at = CURRENT_TIMESTAMP; RETURN NEW; END"),
            ("item changed", "stamp"),
            ("recent", "SELECT * FROM item WHERE at < LOCALTIMESTAMP"),
            ("outer_view", "SELECT * FROM recent"),
            ("audit", "SELECT txid_current(), pg_backend_pid()"),
            ("plain", "SELECT now(), not_current_timestamp FROM item"),
        ]
    )

    assert found == {
        "stamp": {"time"},
        "item changed": {"time"},
        "recent": {"time"},
        "outer_view": {"time"},
        "audit": {"transaction", "backend"},
    }


def test_a_table_comes_to_it_where_it_is_changed() -> None:
    facts = dataclasses.replace(
        STRICT, standing=reaching([("t changed", "stamp"), ("stamp", "txid_current()")])
    )
    one, two = (wired := Wired(facts)).client(), wired.client()

    assert REFUSED not in one.query("INSERT INTO t VALUES (1)") + two.query("SELECT x FROM t")
    assert two.query("INSERT INTO t VALUES (2)")[0] == REFUSED
