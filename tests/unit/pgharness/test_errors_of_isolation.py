"""How the errors of rollback isolation read, sentence by sentence."""

from __future__ import annotations

import inspect
import pickle

import pytest

from pgharness.errors import IsolationError

WAY_OUT = 'mark the test @pytest.mark.pg(isolation="database"): a database of its own, with real commits'

SENTENCES: dict[str, tuple[IsolationError, str]] = {
    "diverged": (
        IsolationError.diverged("t", "a.py:1 in f", ["b.py:2 in g"], ""),
        "t: the transaction begun at a.py:1 in f was rolled back, and others had written meanwhile.\n"
        "On separate connections their work would have stayed; inside one transaction it is undone too.\n"
        "Checked:\n"
        "  - also undone: the work of the transaction begun at b.py:2 in g\n"
        "To fix this, either:\n"
        "  - end the first transaction (commit, rollback or close) before the others write\n"
        f"  - {WAY_OUT}",
    ),
    "stale_snapshot": (
        IsolationError.stale_snapshot("t", "a.py:1 in f", "REPEATABLE READ", ["b.py:2 in g"]),
        "t: the REPEATABLE READ transaction begun at a.py:1 in f goes on after others have written.\n"
        "On a connection of its own it would not see their rows; inside one transaction it does.\n"
        "Checked:\n"
        "  - written meanwhile: by the transaction begun at b.py:2 in g\n"
        f"To fix this: {WAY_OUT}",
    ),
    "terminates": (
        IsolationError.terminates("t", "SELECT pg_terminate_backend(7)"),
        "t: 'SELECT pg_terminate_backend(7)' ends connections of the server.\n"
        "The connections of a test share one; ended, it would take the work of all with it.\n"
        f"To fix this: {WAY_OUT}",
    ),
    "two_phase": (
        IsolationError.two_phase("t", "PREPARE TRANSACTION 'x'", "a.py:1 in f"),
        "t: \"PREPARE TRANSACTION 'x'\" was sent by the transaction begun at a.py:1 in f.\n"
        "PostgreSQL prepares whole transactions, and all of a test's are inside one.\n"
        f"To fix this: {WAY_OUT}",
    ),
    "session_state": (
        IsolationError.session_state("t", "a cursor WITH HOLD", "a.py:1 in f"),
        "t: the transaction begun at a.py:1 in f uses a cursor WITH HOLD.\n"
        "On connections of their own each session has its own; those of a test share one.\n"
        f"To fix this: {WAY_OUT}",
    ),
    "leaked": (
        IsolationError.leaked("t", "CALL  tidy_up()", "a.py:1 in f"),
        "t: the test's transaction was committed or rolled back past the harness.\n"
        "A statement ended it whose text does not show that; its changes may have stayed.\n"
        "Checked:\n"
        "  - the last before: 'CALL tidy_up()' of the transaction begun at a.py:1 in f\n"
        "To fix this, either:\n"
        "  - send COMMIT and ROLLBACK as statements of their own\n"
        f"  - {WAY_OUT}",
    ),
    "deferred_constraint": (
        IsolationError.deferred_constraint("t", "a.py:1 in f", ["b.py:2 in g"], "violates k"),
        "t: at the commit of the transaction begun at a.py:1 in f a deferred constraint failed, and others "
        "had written: violates k\n"
        "Inside one transaction PostgreSQL checks the rows of both, and theirs may not be complete yet.\n"
        "Checked:\n"
        "  - not committed yet: the transaction begun at b.py:2 in g\n"
        "To fix this, either:\n"
        "  - end the other transaction first\n"
        f"  - {WAY_OUT}",
    ),
    "interrupted": (
        IsolationError.interrupted("t"),
        "t: a command that opens or closes a transaction was interrupted.\n"
        "What PostgreSQL has done of it is not known, so nothing more is read from this transaction.\n"
        "To fix this, either:\n"
        "  - cancel or time out statements rather than the start of a transaction\n"
        f"  - {WAY_OUT}",
    ),
    "uncommitted": (
        IsolationError.uncommitted("t", "users", "a.py:1 in f", "b.py:2 in g"),
        "t: the transaction begun at a.py:1 in f reads users, where the one begun at b.py:2 in g has rows "
        "that it has not committed.\n"
        "Inside one transaction it sees them; on connections of their own, as in production, it would not.\n"
        "To fix this, either:\n"
        "  - commit what the test arranges: await db_session.commit() is rolled back with the test\n"
        f"  - {WAY_OUT}",
    ),
    "both_lock": (
        IsolationError.both_lock("t", "a.py:1 in f", "rows of jobs", "b.py:2 in g"),
        "t: the transaction begun at a.py:1 in f locks rows of jobs, where the one begun at b.py:2 in g has "
        "taken its lock.\n"
        "Inside one transaction both have it; on connections of their own one may have to wait.\n"
        "To fix this, either:\n"
        "  - end the first transaction before the other begins\n"
        f"  - {WAY_OUT}",
    ),
    "not_skipped": (
        IsolationError.not_skipped("t", "a.py:1 in f", "an advisory lock", "b.py:2 in g"),
        "t: the transaction begun at a.py:1 in f tries to lock an advisory lock, where the one begun at "
        "b.py:2 in g has taken its lock.\n"
        "Inside one transaction it gets what the other has; on a connection of its own it would not.\n"
        "To fix this, either:\n"
        "  - end the first transaction before the other begins\n"
        f"  - {WAY_OUT}",
    ),
    "not_delivered": (
        IsolationError.not_delivered("t", "a.py:1 in f", "b.py:2 in g"),
        "t: the NOTIFY sent at a.py:1 in f does not reach the connection that began to listen at b.py:2 in g."
        "\n"
        "PostgreSQL delivers at the commit, and the test's transaction is rolled back.\n"
        f"To fix this: {WAY_OUT}",
    ),
    "thread_of_earlier_test": (
        IsolationError.thread_of_earlier_test("t", "job", "record() at app.py:3"),
        "t: the job record() at app.py:3 of an earlier test reached the test database.\n"
        "It was not done when the test that began it ended.\n"
        "To fix this: join the thread, or wait for the result of the job, before its test ends",
    ),
    "scope_open": (
        IsolationError.scope_open("db", "a.py:1 in f"),
        "fixture 'db' leaves a transaction open in which it has written.\n"
        "What it makes for several tests has to be committed before the first of them.\n"
        "Checked:\n"
        "  - begun at a.py:1 in f\n"
        "To fix this: commit, and close the session, before the fixture's yield or return",
    ),
    "scope_keeps": (
        IsolationError.scope_keeps("db", "an advisory lock"),
        "fixture 'db' keeps an advisory lock for its tests.\n"
        "It belongs to one connection to the server, and tests of its scope have others.\n"
        "To fix this: make it in a fixture of function scope",
    ),
    "scope_lost": (
        IsolationError.scope_lost("t", "db", "s"),
        "t: what fixture 'db' has made cannot be had without what s has left.\n"
        "That test has ended its transaction past the harness, and has failed for that.\n"
        "To fix this: see to that test first",
    ),
    "wider_late": (
        IsolationError.wider_late("db", "user"),
        "fixture 'db' has written after 'user', whose scope is narrower.\n"
        "At the end of the narrower scope its rows would be undone with the others.\n"
        "To fix this, either:\n"
        "  - have 'user' ask for 'db', so that it is set up first\n"
        "  - have every test ask for 'db': autouse=True, or usefixtures in the pytest ini\n"
        "  - give 'db' the narrower scope",
    ),
    "wider_in_test": (
        IsolationError.wider_in_test("t", "db"),
        "t: fixture 'db', whose scope is wider than the test, has written after the test has used the "
        "database.\n"
        "Its rows are undone with those of the test, and other tests of its scope would miss them.\n"
        "To fix this: name 'db' among the test's arguments, or in usefixtures, so that it is set up first",
    ),
    "advisory_lock": (
        IsolationError.advisory_lock("t", "a.py:1 in f"),
        "t: an advisory lock of the session, taken at a.py:1 in f, is still held as the test ends.\n"
        "pg_advisory_lock outlives the transaction; in a pool the next to get the connection has it.\n"
        "To fix this, either:\n"
        "  - use pg_advisory_xact_lock, or call pg_advisory_unlock\n"
        f"  - {WAY_OUT}",
    ),
    "task_pending": (
        IsolationError.task_pending("t", ["job() at a.py:1"]),
        "t: a task that uses the database is not done as the test ends.\n"
        "It would go on in the middle of another test, whose rows it would see and change.\n"
        "Checked:\n"
        "  - not done: job() at a.py:1\n"
        "To fix this: await the task, or cancel it and await that, before the test ends",
    ),
    "task_of_earlier_test": (
        IsolationError.task_of_earlier_test("t", "job() at a.py:1"),
        "t: the task job() at a.py:1 of an earlier test reached the test database.\n"
        "It was not done when the test that began it ended.\n"
        "To fix this: await the task, or cancel it and await that, before its test ends",
    ),
    "left_open": (
        IsolationError.left_open("t", ["a.py:1 in f"]),
        "t: a transaction is still open as the test ends.\n"
        "Its session or connection was not closed, or a task still uses it; in production it would keep a "
        "connection of the pool, idle in transaction.\n"
        "Checked:\n"
        "  - begun at a.py:1 in f\n"
        "To fix this: close the session (async with, a dependency with yield), or await the task",
    ),
    "connection_lost": (
        IsolationError.connection_lost("t"),
        "t: the connection that holds the test's transaction was closed by the server.\n"
        "pg_terminate_backend or a server that stopped; what the test had written is gone.\n"
        f"To fix this: {WAY_OUT}",
    ),
    "not_in_transaction": (
        IsolationError.not_in_transaction("t", "VACUUM cannot run inside a transaction block"),
        "t: PostgreSQL refused a statement inside the test's transaction: "
        "VACUUM cannot run inside a transaction block\n"
        "Under rollback isolation every statement runs inside one, AUTOCOMMIT or not.\n"
        f"To fix this: {WAY_OUT}",
    ),
    "transaction_of_earlier_test": (
        IsolationError.transaction_of_earlier_test("t", "a.py:1 in a", "s"),
        "t: a connection goes on with the transaction begun at a.py:1 in a in s, which has ended.\n"
        "A session or a background task has outlived its test; its rows were rolled back.\n"
        "To fix this: close the session, or await the task, before the test ends",
    ),
    "outside_test of a test": (
        IsolationError.outside_test("a.py:1 in a", "t"),
        "t reached the test database at a.py:1 in a and is not isolated.\n"
        "A test of the tier unit, and an item that takes no fixtures, has no transaction to be rolled back.\n"
        "To fix this: move the test to tests/integration or tests/api",
    ),
    "outside_test between tests": (
        IsolationError.outside_test("a.py:1 in a", ""),
        "the test database was written to at a.py:1 in a while no test was running.\n"
        "A task, a thread or another process that goes on between tests; nothing would undo it.\n"
        "To fix this, either:\n"
        "  - stop it, or wait for it, before its test ends\n"
        "  - if its rows are for several tests, have a fixture of their scope write them",
    ),
    "busy": (
        IsolationError.busy("t", "a.py:1 in f", 0.5, "SELECT pg_sleep(9)", "b.py:2 in g"),
        "t: the session of a.py:1 in f waited 0.5 s for the one of b.py:2 in g, whose statement has not "
        "ended: 'SELECT pg_sleep(9)'.\n"
        "Sessions of one test share one connection, and each waits for the other's statement.\n"
        "To fix this, either:\n"
        "  - let one statement end before the other begins\n"
        "  - raise --pg-lock-timeout\n"
        f"  - {WAY_OUT}",
    ),
    "locked": (
        IsolationError.locked("t", "UPDATE a", "a.py:1 in f", 10, ["process 7, active for 1.5 s"]),
        "t: 'UPDATE a', of the session of a.py:1 in f, waited 10 s for a lock in PostgreSQL.\n"
        "A connection that has not joined the test's transaction holds it: one to the server's own address.\n"
        "Checked:\n"
        "  - in a transaction: process 7, active for 1.5 s\n"
        "To fix this, either:\n"
        "  - end the other transaction first\n"
        "  - raise --pg-lock-timeout\n"
        f"  - {WAY_OUT}",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences(name: str) -> None:
    error, message = SENTENCES[name]

    assert str(error) == f"pgharness: {message}"


def test_only_a_leak_calls_for_a_new_database() -> None:
    assert [name for name, (error, _) in SENTENCES.items() if error.leaked_rows] == ["leaked"]


def test_a_leak_keeps_its_mark_in_a_pickle() -> None:
    again = pickle.loads(pickle.dumps(IsolationError.leaked("t", "", "")))  # noqa: S301 - our own

    assert again.leaked_rows


def test_every_named_constructor_is_asserted() -> None:
    constructors = {name for name, _ in inspect.getmembers(IsolationError, inspect.ismethod)}

    assert constructors == {name.split()[0] for name in SENTENCES}
