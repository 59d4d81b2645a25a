"""Each client's parameters as on a connection of its own, however they are set."""

from __future__ import annotations

import dataclasses
import struct

import pytest

from pgharness.proxy.core import wire
from pgharness.proxy.core.statements import SetConfig
from tests.support.wired import FACTS, Wired, execute, extended, parse, shown

SYNC = wire.SYNC
WAYS = {
    "SET": "SET app.x = '1'",
    "SET TO": "SET app.x TO '1'",
    "set_config": "SELECT set_config('app.x', '1', false)",
    "DO": "DO $$ BEGIN PERFORM set_config('app.x', '1', false); END $$",
    "in a script": "SELECT 5; SET app.x = '1'; SELECT 6",
}


@pytest.fixture
def wired() -> Wired:
    return Wired()


# -- for the session -------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("how", ["simple", "extended"])
def test_a_parameter_is_its_clients_own(wired: Wired, sql: str, how: str) -> None:
    one, two = wired.client(), wired.client()

    if how == "simple" or ";" in sql.removesuffix("; END $$"):
        one.query(sql)
    else:
        one.send(extended(sql) + SYNC)

    assert shown(one, two, one, two) == ["1", "", "1", ""]


@pytest.mark.parametrize("sql", WAYS.values(), ids=WAYS)
def test_a_parameter_goes_with_a_rollback(wired: Wired, sql: str) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.query(sql)
    inside = shown(one, two)

    one.query("ROLLBACK")

    assert (inside, shown(one, two)) == (["1", ""], ["", ""])


@pytest.mark.parametrize("sql", WAYS.values(), ids=WAYS)
def test_a_parameter_stays_with_a_commit(wired: Wired, sql: str) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.query(sql)

    one.query("COMMIT")

    assert shown(two, one, two) == ["", "1", ""]


def test_a_parameter_goes_back_with_a_savepoint(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.query("SET app.x = '1'")
    one.query("SAVEPOINT a")
    one.query("SET app.x = '2'")
    changed = shown(one, two)

    one.query("ROLLBACK TO a")

    assert (changed, shown(one, two)) == (["2", ""], ["1", ""])


# -- for the transaction ---------------------------------------------------------------------------

LOCAL = {
    "SET LOCAL": "SET LOCAL app.x = '1'",
    "set_config": "SELECT set_config('app.x', '1', true)",
    "DO": "DO $$ BEGIN PERFORM set_config('app.x', '1', true); END $$",
}


@pytest.mark.parametrize("sql", LOCAL.values(), ids=LOCAL)
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_local_parameter_ends_with_its_transaction(wired: Wired, sql: str, end: str) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")
    one.query(sql)
    inside = shown(one, two, one)

    one.query(end)

    assert (inside, shown(one, two)) == (["1", "", "1"], ["", ""])


def test_a_local_parameter_covers_that_of_the_session(wired: Wired) -> None:
    client = wired.client()
    client.query("SET app.x = '1'")
    client.query("BEGIN")
    client.query("SET LOCAL app.x = '2'")
    inside = shown(client)

    client.query("COMMIT")

    assert (inside, shown(client)) == (["2"], ["1"])


def test_a_local_parameter_outlives_the_release_of_a_savepoint(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN; SAVEPOINT a; SET LOCAL app.x = '1'; RELEASE a")

    assert shown(one, two, one) == ["1", "", "1"]


@pytest.mark.parametrize(("flag", "after"), [("true", ""), ("t", ""), ("on", ""), ("false", "1"), ("f", "1")])
def test_parameters_of_the_statement_say_what_is_set(wired: Wired, flag: str, after: str) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN")

    one.send(extended("SELECT set_config($1, $2, $3)", "app.x", "1", flag) + SYNC)

    assert shown(one, two) == ["1", ""]
    one.query("COMMIT")
    assert shown(one, two) == [after, ""]


def test_a_flag_in_binary_says_what_is_set(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    rest = struct.pack("!HHHHHI", 3, 0, 0, 1, 3, 5) + b"app.x" + struct.pack("!I", 1) + b"1"
    rest += struct.pack("!I", 1) + b"\x01" + struct.pack("!H", 0)
    one.query("BEGIN")

    one.send(parse("SELECT set_config($1, $2, $3)") + wire.bind(b"", b"", rest) + execute() + SYNC)

    inside = shown(one, two)
    one.query("COMMIT")
    assert (inside, shown(one, two)) == (["1", ""], ["", ""])


@pytest.mark.parametrize("is_local", [True, False])
def test_functions_that_are_known_to_set_parameters_do(*, is_local: bool) -> None:
    facts = dataclasses.replace(FACTS, setters={"adopt": (SetConfig("app.tenant", is_local=is_local),)})
    one, two = (wired := Wired(facts)).client(), wired.client()
    shown = "SELECT current_setting('app.tenant', true)"
    one.query("BEGIN")

    one.query("SELECT adopt()")

    inside = [client.query(shown)[1] for client in (one, two)]
    one.query("COMMIT")
    after = [client.query(shown)[1] for client in (one, two)]
    assert [value.strip("- ") for value in inside] == ["row made", "row"]
    assert after[0].strip("- ") == ("row" if is_local else "row made")


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_value_that_is_wrong_changes_nothing(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("SET work_mem = '8MB'")

    said = one.query("SET work_mem = 'much'")

    assert said == ['error 22023 invalid value for parameter "work_mem": "much"', "ready I"]
    assert [client.query("SHOW work_mem")[1] for client in (one, two)] == ["row 8MB", "row 4MB"]


def test_a_statement_that_fails_behind_a_setting_takes_it_back(wired: Wired) -> None:
    one, two = wired.client(), wired.client()

    one.query("SELECT set_config('app.x', '1', false); SELECT 1/0")

    assert shown(one, two) == ["", ""]
