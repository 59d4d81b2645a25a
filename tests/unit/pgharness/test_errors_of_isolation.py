"""How the errors of rollback isolation read, sentence by sentence."""

from __future__ import annotations

import inspect
import pickle

import pytest

from pgharness.errors import IsolationError

WAY_OUT = 'mark the test @pytest.mark.pg(isolation="database"): a database of its own, with real commits'
ELSEWHERE = {"diverged", "stale_snapshot", "local_setting"}  # in test_stack.py

SENTENCES: dict[str, tuple[IsolationError, str]] = {
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
        "  - pg_strict = off\n"
        f"  - {WAY_OUT}",
    ),
    "both_lock": (
        IsolationError.both_lock("t", "a.py:1 in f", "rows of jobs", "b.py:2 in g"),
        "t: the transaction begun at a.py:1 in f locks rows of jobs, where the one begun at b.py:2 in g has "
        "taken its lock.\n"
        "Inside one transaction both have it; on connections of their own one may have to wait.\n"
        "To fix this, either:\n"
        "  - end the first transaction before the other begins\n"
        "  - pg_strict = off\n"
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
        "To fix this, either:\n"
        f"  - {WAY_OUT}\n"
        "  - pg_strict = off",
    ),
    "read_past": (
        IsolationError.read_past("t", "users", "a.py:1 in f"),
        "t: the connection opened past SQLAlchemy, used at a.py:1 in f, reads users, which the test has "
        "changed.\n"
        "It does not join the test's transaction and sees nothing of what the test has written.\n"
        "To fix this, either:\n"
        "  - read through db_session or an engine of SQLAlchemy\n"
        f"  - {WAY_OUT}\n"
        "  - pg_strict = off",
    ),
    "scope_open": (
        IsolationError.scope_open("t", "test_a.py", ["a.py:1 in f"]),
        "t: a transaction that a fixture of test_a.py has begun is still open.\n"
        "What is made for all tests of a module or class has to be committed before the first of them.\n"
        "Checked:\n"
        "  - begun at a.py:1 in f\n"
        "To fix this: commit, and close the session, before the fixture's yield or return",
    ),
    "scope_lost": (
        IsolationError.scope_lost("t", "test_a.py"),
        "t: the data that was made for all tests of test_a.py is gone.\n"
        "An earlier test has ended the transaction that held it, and has failed for that.\n"
        "To fix this: see to that test first",
    ),
    "leaked by a script": (
        IsolationError.leaked("t", "INSERT INTO a VALUES (1);\n  COMMIT", "a.py:1 in f"),
        "t: the test's transaction was committed or rolled back past the harness.\n"
        "A script of several statements, sent as one, ended it; its changes may have stayed.\n"
        "Checked:\n"
        "  - the last that may have: 'INSERT INTO a VALUES (1); COMMIT' sent at a.py:1 in f\n"
        "To fix this, either:\n"
        "  - end transactions through the session or the connection, not in SQL text\n"
        f"  - {WAY_OUT}",
    ),
    "committed_past": (
        IsolationError.committed_past("t", "INSERT INTO a  VALUES (1)", "a.py:1 in f"),
        "t: 'INSERT INTO a VALUES (1)' was committed at a.py:1 in f, on a connection opened past "
        "SQLAlchemy.\n"
        "Such a connection does not join the test's transaction; the database has been made anew.\n"
        "To fix this, either:\n"
        "  - go through a SQLAlchemy engine\n"
        f"  - {WAY_OUT}",
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
    "leaked": (
        IsolationError.leaked("t"),
        "t: the test's transaction was committed or rolled back past the harness.\n"
        "A script of several statements, sent as one, ended it; its changes may have stayed.\n"
        "To fix this, either:\n"
        "  - end transactions through the session or the connection, not in SQL text\n"
        f"  - {WAY_OUT}",
    ),
    "two_loops": (
        IsolationError.two_loops("t"),
        "t: a second event loop asked for the database while the test's own loop is blocked or idle.\n"
        "The test's transaction lives on the loop of the test; a synchronous client inside an async test, "
        "or a fixture on another loop scope, runs a loop of its own.\n"
        "To fix this, either:\n"
        "  - use the async `client` fixture in async tests, or make the test a plain `def`\n"
        "  - give tests and fixtures one loop: asyncio_default_test_loop_scope = "
        "asyncio_default_fixture_loop_scope\n"
        f"  - {WAY_OUT}",
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
    "raw_control": (
        IsolationError.raw_control("t", "COMMIT", "a.py:1 in a"),
        "t: 'COMMIT' was sent as SQL at a.py:1 in a.\n"
        "Inside the test's transaction it would end or leave it, and the test would leak.\n"
        "To fix this, either:\n"
        "  - use the session's or connection's own commit() and rollback()\n"
        f"  - {WAY_OUT}",
    ),
    "transaction_of_earlier_test": (
        IsolationError.transaction_of_earlier_test("t", "a.py:1 in a", "s"),
        "t: a connection goes on with the transaction begun at a.py:1 in a in s, which has ended.\n"
        "A session or a background task has outlived its test; its rows were rolled back.\n"
        "To fix this: close the session, or await the task, before the test ends",
    ),
    "not_offered": (
        IsolationError.not_offered("asyncpg.Connection.x"),
        "asyncpg.Connection.x is not available on a connection that has joined a test's transaction.\n"
        "It acts on the physical connection, which other sessions of the test share.\n"
        f"To fix this: {WAY_OUT}",
    ),
    "outside_test of a test": (
        IsolationError.outside_test("a.py:1 in a", "t"),
        "t reached the test database at a.py:1 in a without asking for it.\n"
        "Only tests that ask for the database have a transaction to be rolled back.\n"
        "To fix this, either:\n"
        "  - name a fixture of the harness in the test (db_session, client, pg_database)\n"
        '  - ask for it everywhere: usefixtures = ["pg_database"] in the pytest ini\n'
        "  - mark the test @pytest.mark.pg",
    ),
    "outside_test between tests": (
        IsolationError.outside_test("a.py:1 in a", ""),
        "the test database was reached at a.py:1 in a while no test was running.\n"
        "A fixture of module or session scope, or a task that outlived its test; nothing would undo it.\n"
        "To fix this, either:\n"
        "  - if it makes the database or its tables, delete it: the harness has run the migrations\n"
        "  - make the fixture function-scoped\n"
        '  - if every test needs its rows, make them in the template: pg_seed = ["module:function"]\n'
        "  - if it makes rows for a module or class, have it ask for pg_module or pg_class",
    ),
    "two_drivers": (
        IsolationError.two_drivers("t", "asyncpg", "psycopg", "a.py:1 in a"),
        "t: an engine on psycopg connected at a.py:1 in a, and the test's transaction is on asyncpg.\n"
        "Two drivers hold two connections, and neither would see the other's rows.\n"
        "To fix this, either:\n"
        "  - if only db_session is on asyncpg, set pg_driver = 'psycopg'\n"
        f"  - {WAY_OUT}",
    ),
    "unknown_driver": (
        IsolationError.unknown_driver("t", "pg8000", "a.py:1 in a"),
        "t: an engine on the driver 'pg8000' connected to the test database at a.py:1 in a.\n"
        "Rollback isolation joins asyncpg and psycopg (3), synchronous and asynchronous.\n"
        "To fix this, either:\n"
        "  - if a fixture makes or empties tables there, delete it: the harness has run the migrations\n"
        "  - use postgresql+asyncpg:// or postgresql+psycopg://\n"
        f"  - {WAY_OUT}",
    ),
    "second_role": (
        IsolationError.second_role("t", "reader", "app", "a.py:1 in a"),
        "t: an engine connected as 'reader' at a.py:1 in a, and the test's transaction belongs to 'app'.\n"
        "A transaction has one login; joined, the engine would have the rights of the other role.\n"
        f"To fix this: {WAY_OUT}",
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
        "A connection that has not joined the test's transaction holds it: one opened past SQLAlchemy, or by "
        "another process.\n"
        "Checked:\n"
        "  - in a transaction: process 7, active for 1.5 s\n"
        "To fix this, either:\n"
        "  - end the other transaction first\n"
        "  - raise --pg-lock-timeout\n"
        f"  - {WAY_OUT}",
    ),
    "own_creator": (
        IsolationError.own_creator("t", "a.py:1 in a"),
        "t: an engine with a creator of its own connected to the test database at a.py:1 in a.\n"
        "create_engine(creator=...) and async_creator= bypass the event by which engines join.\n"
        "To fix this, either:\n"
        "  - give the engine a URL in tests\n"
        f"  - {WAY_OUT}",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_sentences(name: str) -> None:
    error, message = SENTENCES[name]

    assert str(error) == f"pgharness: {message}"


def test_only_a_leak_calls_for_a_new_database() -> None:
    assert [name for name, (error, _) in SENTENCES.items() if error.leaked_rows] == [
        "leaked by a script",
        "committed_past",
        "leaked",
    ]


def test_a_leak_keeps_its_mark_in_a_pickle() -> None:
    again = pickle.loads(pickle.dumps(IsolationError.leaked("t")))  # noqa: S301 - our own

    assert again.leaked_rows


def test_every_named_constructor_is_asserted() -> None:
    constructors = {name for name, _ in inspect.getmembers(IsolationError, inspect.ismethod)}

    assert constructors == {name.split()[0] for name in SENTENCES} | ELSEWHERE
