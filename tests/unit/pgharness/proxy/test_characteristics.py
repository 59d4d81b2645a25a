"""What a transaction is asked to be, and cannot be inside another: its isolation level and its modes."""

from __future__ import annotations

import dataclasses

import pytest

from pgharness.proxy.core import wire
from tests.support.wired import FACTS, Sender, Wired, extended

LEVEL = "SELECT pg_catalog.current_setting('transaction_isolation', true)"


@pytest.fixture
def client() -> Sender:
    return Wired().client()


def _says(client: Sender, name: str, begin: str = "BEGIN") -> str:
    """What SHOW answers; the parameter that stands for it is one of the server in memory."""
    client.query(begin)
    sent = client.wired.shared
    client.query("SELECT 1")
    found = sent.scope.stack.settings.get(name, "")
    client.query("ROLLBACK")
    return found


@pytest.mark.parametrize(
    ("begin", "level"),
    [
        ("BEGIN", ""),
        ("BEGIN ISOLATION LEVEL READ COMMITTED", ""),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "repeatable read"),
        ("START TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE", "serializable"),
        ("BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "serializable"),
    ],
)
def test_the_level_asked_for_is_kept(client: Sender, begin: str, level: str) -> None:
    assert _says(client, "pgharness.isolation", begin) == level


def test_whether_it_is_deferrable_is_kept(client: Sender) -> None:
    assert _says(client, "pgharness.deferrable", "BEGIN DEFERRABLE") == "on"
    assert _says(client, "pgharness.deferrable", "BEGIN NOT DEFERRABLE") == "off"


def test_a_session_may_say_what_its_transactions_are(client: Sender) -> None:
    said = client.query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, DEFERRABLE")

    assert said == ["SET", "ready I"]
    assert _says(client, "pgharness.isolation") == "serializable"
    assert _says(client, "pgharness.deferrable") == "on"
    assert _says(client, "pgharness.isolation", "BEGIN ISOLATION LEVEL READ COMMITTED") == "read committed"


def test_a_session_may_only_read(client: Sender) -> None:
    client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    read_only = client.query("INSERT INTO t VALUES (1)")
    client.query("BEGIN READ WRITE")

    assert read_only[0].startswith("error 25006 ")
    assert client.query("INSERT INTO t VALUES (1)") == ["INSERT 0 1", "ready T"]


def test_what_a_session_is_goes_with_a_rollback(client: Sender) -> None:
    client.query("BEGIN")
    client.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    client.query("ROLLBACK")

    assert client.query("INSERT INTO t VALUES (1)") == ["INSERT 0 1", "ready I"]


TOO_LATE = "error 25001 SET TRANSACTION ISOLATION LEVEL must be called before any query"
NESTED = "error 25001 SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction"
READ_WRITE = "error 25001 transaction read-write mode must be set before any query"
WITHIN = "error 25001 cannot set transaction read-write mode inside a read-only transaction"


@pytest.mark.parametrize(
    ("before", "sql", "said"),
    [
        ("BEGIN; SELECT 1", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", TOO_LATE),
        ("BEGIN; SELECT 1", "BEGIN ISOLATION LEVEL SERIALIZABLE", TOO_LATE),
        ("BEGIN; SELECT 1", "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "SET"),
        ("BEGIN; SAVEPOINT a", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", NESTED),
        ("BEGIN READ ONLY; SELECT 1", "SET TRANSACTION READ WRITE", READ_WRITE),
        ("BEGIN READ ONLY; SAVEPOINT a", "SET TRANSACTION READ WRITE", WITHIN),
        ("BEGIN READ ONLY", "SET TRANSACTION READ WRITE", "SET"),
        ("BEGIN; SELECT 1", "SET TRANSACTION READ ONLY", "SET"),
        (
            "BEGIN; INSERT INTO t VALUES (1)",
            "SET TRANSACTION READ ONLY",
            "error 0A000 refused: session_state",
        ),
    ],
)
def test_what_comes_too_late_is_said_as_by_postgresql(
    client: Sender, before: str, sql: str, said: str
) -> None:
    client.query(before)

    assert client.query(sql)[-2] == said


@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        (
            "SHOW transaction_isolation",
            "Q SELECT pg_catalog.current_setting('pgharness.isolation') AS transaction_isolation",
        ),
        (
            "SELECT current_setting('transaction_isolation')",
            "Q SELECT current_setting('pgharness.isolation')",
        ),
        (
            "SELECT current_setting('transaction_deferrable'), current_setting('transaction_isolation')",
            "Q SELECT current_setting('pgharness.deferrable'), current_setting('pgharness.isolation')",
        ),
        ("SELECT 'transaction_isolation'", "Q SELECT 'transaction_isolation'"),
        ("SHOW transaction_read_only", "Q SHOW transaction_read_only"),
    ],
)
def test_questions_for_what_is_kept_are_changed(client: Sender, sql: str, sent: str) -> None:
    client.query(sql)

    assert client.wired.take_sent()[-1] == sent


def test_a_chain_is_as_the_one_before(client: Sender) -> None:
    client.query("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
    client.query("SELECT 1")
    client.query("COMMIT AND CHAIN")

    assert client.query("INSERT INTO t VALUES (1)")[0].startswith("error 25006 ")
    assert client.wired.shared.scope.stack.settings["pgharness.isolation"] == "serializable"


def test_the_clock_of_the_tests_goes_with_each_transaction() -> None:
    wired = Wired(dataclasses.replace(FACTS, clock=True))
    wired.shared.now = lambda: "2020-01-02"
    client = wired.client()

    client.query("SELECT 1")

    assert wired.take_sent() == [
        "Q BEGIN; SAVEPOINT pgh_1; SELECT pg_catalog.set_config('pgharness.now', '2020-01-02', true)",
        "Q SELECT 1",
    ]


# -- temporary tables -


@pytest.mark.parametrize(
    ("at_commit", "verbs"),
    [("ON COMMIT DROP", ["DROP"]), ("ON COMMIT DELETE ROWS", ["TRUNCATE"]), ("", [])],
)
def test_a_commit_is_one_for_temporary_tables(client: Sender, at_commit: str, verbs: list[str]) -> None:
    client.query("BEGIN")
    client.query(f"CREATE TEMP TABLE tt (x int) {at_commit}")
    client.query("COMMIT")
    client.wired.take_sent()

    client.query("SELECT 1")

    sent = "; ".join(client.wired.take_sent())
    assert [verb for verb in ("DROP", "TRUNCATE") if verb in sent] == verbs


@pytest.mark.parametrize("inside", [False, True])
def test_temporary_tables_are_thrown_away(client: Sender, *, inside: bool) -> None:
    client.query("BEGIN" if inside else "SELECT 5")
    client.query("CREATE TEMP TABLE tt (x int)")

    assert client.query("DISCARD TEMP")[0] == "DISCARD TEMP"

    client.wired.take_sent()
    assert client.query("SELECT 1")[-1] == f"ready {'T' if inside else 'I'}"
    assert "tt" in "; ".join(client.wired.take_sent())


def test_a_refusal_at_the_check_of_a_commit_ends_the_transaction() -> None:
    wired = Wired(dataclasses.replace(FACTS, deferrable=True))
    one, two = wired.client(), wired.client()
    one.query("BEGIN; INSERT INTO t VALUES (1)")
    two.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
    two.query("INSERT INTO t VALUES (2)")
    one.query("INSERT INTO t VALUES (3)")

    assert two.query("COMMIT") == ["error 0A000 refused: stale_snapshot", "ready I"]
    assert two.send(extended("SELECT 1") + wire.SYNC)[-1] == "ready I"
