"""What a client is told of its session, how it resets it, its role and its process."""

from __future__ import annotations

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import Wired, bind, execute, parse, shown

SYNC = wire.SYNC


@pytest.fixture
def wired() -> Wired:
    return Wired()


def test_a_change_is_reported_to_its_client_alone(wired: Wired) -> None:
    one, two = wired.client(), wired.client()

    said = one.query("SET timezone = 'Asia/Tokyo'")

    assert said == ["SET", "status TimeZone=Asia/Tokyo", "ready I"]
    assert two.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]
    assert one.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]


@pytest.mark.parametrize("local", ["", "LOCAL "])
def test_what_a_rollback_brings_back_is_reported(local: str) -> None:
    wired = Wired()
    one, two = wired.client(reported={"TimeZone": "UTC"}), wired.client(reported={"TimeZone": "UTC"})
    one.query("BEGIN")
    changed = one.query(f"SET {local}timezone = 'Asia/Tokyo'")
    two.query("SELECT 5")

    said = one.query("ROLLBACK")

    assert changed == ["SET", "status TimeZone=Asia/Tokyo", "ready T"]
    assert sorted(said) == ["ROLLBACK", "ready I", "status TimeZone=UTC"]
    assert two.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]


# -- RESET and DISCARD ---------------------------------------------------------------------------


def test_reset_goes_back_to_what_the_client_has_asked_for(wired: Wired) -> None:
    one = wired.client(settings={"work_mem": "6MB"})
    two = wired.client()
    for client in (one, two):
        client.query("SET work_mem = '8MB'")

    said = [client.query("RESET work_mem") for client in (one, two)]

    assert said == [["RESET", "ready I"]] * 2
    assert [client.query("SHOW work_mem")[1] for client in (one, two)] == ["row 6MB", "row 4MB"]


@pytest.mark.parametrize("sql", ["RESET ALL", "DISCARD ALL"])
def test_everything_is_reset_for_one_client(wired: Wired, sql: str) -> None:
    one, two = wired.client(), wired.client()
    for client in (one, two):
        client.query("SET app.x = '1'; SET work_mem = '8MB'")

    said = one.query(sql)

    assert said == [sql.removesuffix(" ALL") if sql == "RESET ALL" else sql, "ready I"]
    assert shown(one, two) == ["", "1"]
    assert [client.query("SHOW work_mem")[1] for client in (one, two)] == ["row 4MB", "row 8MB"]


def test_discard_all_is_refused_in_a_block(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN")

    said = client.query("DISCARD ALL")

    assert said == ["error 25001 DISCARD ALL cannot run inside a transaction block", "ready E"]


ASYNCPG_RESET = "SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;"


def test_the_script_with_which_asyncpg_gives_a_connection_back(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    for client in (one, two):
        client.query("SET app.x = '1'")

    said = one.query(ASYNCPG_RESET)

    assert said == ["columns", "row ", "SELECT 1", "CLOSE CURSOR ALL", "UNLISTEN", "RESET", "ready I"]
    assert shown(one, two) == ["", "1"]


# -- roles ---------------------------------------------------------------------------------------


def test_a_role_is_its_clients_own(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("SET ROLE reader")

    shown = [client.query("SHOW role")[1] for client in (one, two, one)]
    assert shown == ["row reader", "row none", "row reader"]
    one.query("RESET ROLE")
    assert one.query("SHOW role")[1] == "row none"


def test_another_login_keeps_its_role_and_its_own(wired: Wired) -> None:
    one = wired.client()
    two = wired.client(user="app", settings={"session_authorization": "app"})
    two.query("SET ROLE reader")

    seen = [
        (client.query("SHOW session_authorization")[1], client.query("SHOW role")[1]) for client in (one, two)
    ]

    assert seen == [("row owner", "row none"), ("row app", "row reader")]
    assert one.query("SET app.x = '1'") == ["SET", "ready I"]
    assert two.query("SHOW role")[1] == "row reader"


def test_another_login_cannot_become_its_owner(wired: Wired) -> None:
    two = wired.client(user="app", settings={"session_authorization": "app"})

    assert two.query("SET SESSION AUTHORIZATION owner") == [
        "error 42501 permission denied to set session authorization",
        "ready I",
    ]


# -- the process ---------------------------------------------------------------------------------


def test_each_client_has_a_process_of_its_own(wired: Wired) -> None:
    one, two = wired.client(), wired.client()

    said = [client.query("SELECT pg_backend_pid()") for client in (one, two)]

    assert said == [["columns", f"row {pid}", "SELECT 1", "ready I"] for pid in (1, 2)]
    assert two.send(parse("SELECT pg_backend_pid()") + bind() + execute() + SYNC)[2] == "row 2"


# -- RESET within a transaction --------------------------------------------------------------------


@pytest.mark.parametrize("sql", ["RESET work_mem", "RESET ALL"])
@pytest.mark.parametrize("set_by", ["SET LOCAL", "SET"])
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_reset_holds_at_once_and_goes_with_a_rollback(
    wired: Wired, sql: str, set_by: str, end: str
) -> None:
    one, two = wired.client(), wired.client()
    one.query("SET work_mem = '6MB'")
    one.query("BEGIN")
    one.query(f"{set_by} work_mem = '8MB'")

    one.query(sql)

    inside = [client.query("SHOW work_mem")[1] for client in (one, two)]
    one.query(end)
    assert inside == ["row 4MB", "row 4MB"]
    assert one.query("SHOW work_mem")[1] == ("row 4MB" if end == "COMMIT" else "row 6MB")


def test_a_role_for_the_transaction_is_reset(wired: Wired) -> None:
    one, two = wired.client(), wired.client()
    one.query("BEGIN; SET LOCAL ROLE reader")
    before = one.query("SHOW role")[1]

    one.query("RESET ROLE")

    assert (before, one.query("SHOW role")[1], two.query("SHOW role")[1]) == (
        "row reader",
        "row none",
        "row none",
    )


def test_a_reset_goes_back_to_its_savepoint(wired: Wired) -> None:
    one = wired.client()
    one.query("BEGIN; SET work_mem = '8MB'; SAVEPOINT a; RESET ALL")
    reset = one.query("SHOW work_mem")[1]

    one.query("ROLLBACK TO a")

    assert (reset, one.query("SHOW work_mem")[1]) == ("row 4MB", "row 8MB")


@pytest.mark.parametrize("first", ["", "SELECT 5; "])
def test_a_reset_in_a_script_that_fails_is_taken_back(wired: Wired, first: str) -> None:
    one = wired.client()
    one.query("SET work_mem = '8MB'")

    one.query(f"{first}RESET work_mem; SELECT 1/0")

    assert one.query("SHOW work_mem")[1] == "row 8MB"


@pytest.mark.xfail(strict=True, reason="a script is no transaction block to DISCARD ALL")
def test_discard_all_is_refused_in_a_script(wired: Wired) -> None:
    said = wired.client().query("SELECT 5; DISCARD ALL")

    assert said[-2] == "error 25001 DISCARD ALL cannot run inside a transaction block"
