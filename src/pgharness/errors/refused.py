"""What rollback isolation refuses: an engine that cannot join, a statement that it cannot undo."""

from __future__ import annotations

from typing import Self

from pgharness.errors.base import HarnessError

WAY_OUT = 'mark the test @pytest.mark.pg(isolation="database"): a database of its own, with real commits'


class RefusedError(HarnessError):
    """The constructors of `IsolationError` for what is refused before it reaches PostgreSQL, or by it."""

    @classmethod
    def outside_test(cls, where: str, test: str) -> Self:
        """An engine connected to the worker's database and no test has asked for it."""
        if test:
            failed = f"{test} reached the test database at {where} without asking for it."
            cause = "Only tests that ask for the database have a transaction to be rolled back."
            fix = [
                "name a fixture of the harness in the test (db_session, client, pg_database)",
                'ask for it everywhere: usefixtures = ["pg_database"] in the pytest ini',
                "mark the test @pytest.mark.pg",
            ]
        else:
            failed = f"the test database was reached at {where} while no test was running."
            cause = "A fixture of module or session scope, or a task that outlived its test; nothing would undo it."
            fix = [
                "if it makes the database or its tables, delete it: the harness has run the migrations",
                "make the fixture function-scoped",
                'if every test needs its rows, make them in the template: pg_seed = ["module:function"]',
                "if it makes rows for a module or class, have it ask for pg_module or pg_class",
            ]
        return cls(failed, cause=cause, fix=fix)

    @classmethod
    def unknown_driver(cls, test: str, driver: str, where: str) -> Self:
        """An engine of a driver that cannot be joined."""
        return cls(
            f"{test}: an engine on the driver {driver!r} connected to the test database at {where}.",
            cause="Rollback isolation joins asyncpg and psycopg (3), synchronous and asynchronous.",
            fix=[
                "if a fixture makes or empties tables there, delete it: the harness has run the migrations",
                "use postgresql+asyncpg:// or postgresql+psycopg://",
                WAY_OUT,
            ],
        )

    @classmethod
    def two_drivers(cls, test: str, first: str, second: str, where: str) -> Self:
        """Engines of two drivers in one test: two physical connections cannot share a transaction."""
        return cls(
            f"{test}: an engine on {second} connected at {where}, and the test's transaction is on {first}.",
            cause="Two drivers hold two connections, and neither would see the other's rows.",
            fix=[
                f"if only db_session is on {first}, set pg_driver = {second!r}",
                WAY_OUT,
            ],
        )

    @classmethod
    def second_role(cls, test: str, role: str, owner: str, where: str) -> Self:
        """An engine that logs in as somebody else."""
        return cls(
            f"{test}: an engine connected as {role!r} at {where}, and the test's transaction belongs to {owner!r}.",
            cause="A transaction has one login; joined, the engine would have the rights of the other role.",
            fix=[WAY_OUT],
        )

    @classmethod
    def own_creator(cls, test: str, where: str) -> Self:
        """An engine that makes its connections itself cannot be joined."""
        return cls(
            f"{test}: an engine with a creator of its own connected to the test database at {where}.",
            cause="create_engine(creator=...) and async_creator= bypass the event by which engines join.",
            fix=["give the engine a URL in tests", WAY_OUT],
        )

    @classmethod
    def two_loops(cls, test: str) -> Self:
        """A second event loop asked for a connection while the first cannot answer."""
        return cls(
            f"{test}: a second event loop asked for the database while the test's own loop is blocked or idle.",
            cause="The test's transaction lives on the loop of the test; a synchronous client inside an async "
            "test, or a fixture on another loop scope, runs a loop of its own.",
            fix=[
                "use the async `client` fixture in async tests, or make the test a plain `def`",
                "give tests and fixtures one loop: asyncio_default_test_loop_scope = "
                "asyncio_default_fixture_loop_scope",
                WAY_OUT,
            ],
        )

    @classmethod
    def not_in_transaction(cls, test: str, message: str) -> Self:
        """A statement that PostgreSQL refuses inside any transaction."""
        return cls(
            f"{test}: PostgreSQL refused a statement inside the test's transaction: {message}",
            cause="Under rollback isolation every statement runs inside one, AUTOCOMMIT or not.",
            fix=[WAY_OUT],
        )

    @classmethod
    def raw_control(cls, test: str, sql: str, where: str) -> Self:
        """Transaction control sent as SQL text, which a savepoint cannot stand for."""
        return cls(
            f"{test}: {sql!r} was sent as SQL at {where}.",
            cause="Inside the test's transaction it would end or leave it, and the test would leak.",
            fix=["use the session's or connection's own commit() and rollback()", WAY_OUT],
        )

    @classmethod
    def not_offered(cls, name: str) -> Self:
        """A driver method for which a savepoint cannot stand."""
        return cls(
            f"{name} is not available on a connection that has joined a test's transaction.",
            cause="It acts on the physical connection, which other sessions of the test share.",
            fix=[WAY_OUT],
        )
