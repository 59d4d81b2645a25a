"""What one transaction cannot show: each kind is refused, and fails the test though the app swallows it."""

from __future__ import annotations

import dataclasses

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import FACTS, Sender, Wired, extended

SYNC = wire.SYNC


@pytest.fixture
def wired() -> Wired:
    return Wired()


def _both(wired: Wired) -> tuple[Sender, Sender]:
    return wired.client(), wired.client()


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("PREPARE TRANSACTION 'x'", "two_phase"),
        ("PREPARE TRANSACTION ''", "two_phase"),
        ("COMMIT PREPARED 'x'", "two_phase"),
        ("ROLLBACK PREPARED 'x'", "two_phase"),
        ("SELECT pg_terminate_backend(7)", "terminates"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "session_state"),
        ("DO $$ BEGIN COMMIT; END $$", "not_in_transaction"),
        ("BEGIN; SET TRANSACTION SNAPSHOT '00000003-0000001B-1'", "session_state"),
        ("BEGIN; INSERT INTO t VALUES (1); SET TRANSACTION READ ONLY", "session_state"),
    ],
)
@pytest.mark.parametrize("how", ["simple", "extended"])
def test_what_cannot_be_shown_is_refused_and_fails_the_test(
    wired: Wired, sql: str, kind: str, how: str
) -> None:
    client = wired.client()
    *before, last = sql.split("; ") if sql.startswith("BEGIN") else [sql]
    for statement in before:
        client.query(statement)

    said = client.query(last) if how == "simple" else client.send(extended(last) + SYNC)

    assert said[-2:] == [f"error 0A000 refused: {kind}", f"ready {'E' if before else 'I'}"]
    assert client.query("ROLLBACK")[-1] == "ready I"
    assert client.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]
    assert [found for found, *_ in wired.end()] == [kind]


def test_a_refusal_fails_its_transaction(wired: Wired) -> None:
    client = wired.client()
    client.query("BEGIN; INSERT INTO t VALUES (1)")

    said = [
        client.query(sql)
        for sql in ("SELECT pg_terminate_backend(7)", "SELECT 1", "COMMIT", "SELECT x FROM t")
    ]

    assert [lines[-2:] for lines in said] == [
        ["error 0A000 refused: terminates", "ready E"],
        [
            "error 25P02 current transaction is aborted, commands ignored until end of transaction block",
            "ready E",
        ],
        ["ROLLBACK", "ready I"],
        ["SELECT 0", "ready I"],
    ]


def test_the_rest_of_a_pipeline_is_skipped(wired: Wired) -> None:
    client = wired.client()

    said = client.send(
        extended("INSERT INTO t VALUES (1)") + extended("SELECT pg_terminate_backend(7)")
        + extended("SELECT 2") + SYNC
    )  # fmt: skip

    assert said == [
        "parsed", "bound", "INSERT 0 1", "parsed", "bound", "error 0A000 refused: terminates", "ready I",
    ]  # fmt: skip
    assert client.query("SELECT x FROM t") == ["columns", "SELECT 0", "ready I"]


# -- the order of the others ----------------------------------------------------------------------


def test_undoing_what_lies_beneath_anothers_writes_is_refused_to_everybody(wired: Wired) -> None:
    one, two = _both(wired)
    one.query("BEGIN; INSERT INTO t VALUES (1)")
    two.query("BEGIN; INSERT INTO t VALUES (2)")

    assert one.query("ROLLBACK") == ["ROLLBACK", "ready I"]

    refused = "error 0A000 refused: diverged"
    assert [one.query("SELECT 1"), two.query("SELECT 1")] == [[refused, "ready I"], [refused, "ready E"]]
    assert [kind for kind, *_ in wired.end()] == ["diverged"]


def test_a_snapshot_that_others_have_written_past_is_refused(wired: Wired) -> None:
    one, two = _both(wired)
    one.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    one.query("SELECT x FROM t")
    two.query("INSERT INTO t VALUES (2)")

    assert one.query("SELECT x FROM t") == ["error 0A000 refused: stale_snapshot", "ready E"]
    assert two.query("SELECT x FROM t") == ["columns", "row 2", "SELECT 1", "ready I"]


def test_temporary_tables_of_one_name_are_refused(wired: Wired) -> None:
    one, two = _both(wired)
    one.query("CREATE TEMP TABLE tt (x int)")
    one.query("BEGIN; INSERT INTO tt VALUES (1)")

    assert two.query("CREATE TEMP TABLE tt (x int)") == ["error 0A000 refused: session_state", "ready I"]
    assert one.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready T"]


@pytest.mark.parametrize("sql", ["CREATE TEMP TABLE tt (x int)", "SELECT x FROM tt"])
def test_the_temporary_table_of_another_is_refused(wired: Wired, sql: str) -> None:
    one, two = _both(wired)
    one.query("CREATE TEMP TABLE tt (x int)")
    two.query("SELECT 5")

    assert two.query(sql) == ["error 0A000 refused: session_state", "ready I"]
    assert one.query("SELECT x FROM tt")[-1] == "ready I"


# -- locks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holds", "wants"),
    [
        ("SELECT x FROM t FOR UPDATE", "SELECT x FROM t FOR UPDATE SKIP LOCKED"),
        ("SELECT x FROM t FOR UPDATE", "SELECT x FROM t FOR UPDATE NOWAIT"),
        ("SELECT pg_advisory_xact_lock()", "SELECT pg_try_advisory_lock()"),
        ("SELECT pg_advisory_lock()", "SELECT pg_try_advisory_xact_lock()"),
    ],
)
def test_what_would_skip_the_lock_of_another_is_refused(wired: Wired, holds: str, wants: str) -> None:
    wired.server.receive = _answers_anything  # type: ignore[method-assign]  # another server
    one, two = _both(wired)
    one.query("BEGIN")
    one.query(holds)

    assert one.query(wants)[-1] == "ready T"
    assert two.query(wants) == ["error 0A000 refused: not_skipped", "ready I"]


def _answers_anything(data: bytes) -> bytes:
    return b"".join(
        wire.complete("SELECT 0") + wire.READY[b"T"] for kind, _ in wire.frames(data)[0] if kind in b"QS"
    )


def test_a_lock_of_the_session_outlives_its_transaction_and_is_told_at_the_end(wired: Wired) -> None:
    one, two = _both(wired)
    one.query("SELECT pg_advisory_lock()")
    answered = wired.server.receive
    wired.server.receive = lambda data: (  # type: ignore[method-assign]  # another server
        wire.complete("ROLLBACK") + wire.row([b"1"]) + wire.row([b""]) + wire.READY[b"I"]
        if b"pg_locks" in data
        else answered(data)
    )

    assert two.query("SELECT pg_try_advisory_lock()") == ["error 0A000 refused: not_skipped", "ready I"]
    assert [kind for kind, *_ in wired.end()] == ["not_skipped", "advisory_lock"]


def test_a_lock_that_has_been_given_back_is_none(wired: Wired) -> None:
    one, two = _both(wired)
    one.query("SELECT pg_advisory_lock()")
    one.query("SELECT pg_advisory_unlock()")

    assert two.query("SELECT pg_try_advisory_lock()")[-1] == "ready I"


# -- what others have not committed ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("strict", "said", "refusals"),
    [
        (False, ["columns", "row 1", "SELECT 1", "ready I"], []),
        (True, ["error 0A000 refused: uncommitted", "ready I"], ["uncommitted"]),
    ],
)
def test_rows_that_are_not_committed_are_not_shown(
    said: list[str], refusals: list[str], *, strict: bool
) -> None:
    wired = Wired(dataclasses.replace(FACTS, strict=strict))
    one, two = _both(wired)
    one.query("BEGIN; INSERT INTO t VALUES (1)")

    assert two.query("SELECT x FROM t") == said
    one.query("COMMIT")
    assert two.query("SELECT x FROM t") == ["columns", "row 1", "SELECT 1", "ready I"]
    assert [kind for kind, *_ in wired.end()] == refusals


def test_a_notification_that_somebody_waits_for_is_told() -> None:
    wired = Wired(dataclasses.replace(FACTS, strict=True))
    one, two = _both(wired)
    one.query("LISTEN news")

    assert two.query("NOTIFY other") == ["NOTIFY", "ready I"]
    assert two.query("NOTIFY news") == ["error 0A000 refused: not_delivered", "ready I"]
    one.query("UNLISTEN news")
    assert two.query("NOTIFY news") == ["NOTIFY", "ready I"]


# -- errors that only the shared transaction causes -----------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("25001", "VACUUM cannot run inside a transaction block", "not_in_transaction"),
        ("2D000", "invalid transaction termination", "not_in_transaction"),
        ("55P04", 'unsafe use of new value "x" of enum type e', "not_in_transaction"),
        ("55P03", "canceling statement due to lock timeout", "locked"),
        ("55P03", 'could not obtain lock on row in relation "t"', ""),
        ("42P01", 'relation "t" does not exist', ""),
    ],
)
def test_an_error_of_the_shared_transaction_is_a_refusal(
    wired: Wired, code: str, text: str, kind: str
) -> None:
    client = wired.client()
    answered = wired.server.receive

    def receive(data: bytes) -> bytes:
        if b"VACUUM" not in data:
            return answered(data)
        before = answered(data.partition(wire.query("VACUUM"))[0])
        wired.server.session.fail()
        return before + wire.error("ERROR", code, text) + wire.READY[b"E"]

    wired.server.receive = receive  # type: ignore[method-assign]  # another server

    said = client.query("VACUUM")

    assert said == [f"error 0A000 refused: {kind}" if kind else f"error {code} {text}", "ready I"]
    assert client.query("SELECT 5") == ["columns", "row 5", "SELECT 1", "ready I"]
    assert [found for found, *_ in wired.end()] == ([kind] if kind else [])


def test_a_statement_that_ends_the_transaction_past_the_harness_is_told(wired: Wired) -> None:
    client = wired.client()
    wired.server.receive = lambda data: b"".join(  # type: ignore[method-assign]  # another server
        wire.complete("CALL") + wire.READY[b"I" if b"CALL" in body else b"T"]
        for _, body in wire.frames(data)[0]
    )

    client.query("CALL p()")

    assert client.query("SELECT 1") == ["error 0A000 refused: leaked", "ready I"]
    assert wired.end()[0][0] == "leaked"
