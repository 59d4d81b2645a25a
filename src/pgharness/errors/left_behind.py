"""What a test leaves behind, and what a fixture of wider scope leaves to its tests that they cannot have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from pgharness.errors.base import HarnessError

WAY_OUT = 'mark the test @pytest.mark.pg(isolation="database"): a database of its own, with real commits'


class LeftBehindError(HarnessError):
    """The part of `IsolationError` that is about what outlives a test or the set-up of a fixture."""

    secondary = False
    """Whether this may be a mere consequence where the test has failed anyway."""

    @classmethod
    def advisory_lock(cls, test: str, where: str) -> Self:
        """A session-level advisory lock is held as the test ends."""
        return cls(
            f"{test}: an advisory lock of the session, taken at {where}, is still held as the test ends.",
            cause="pg_advisory_lock outlives the transaction; in a pool the next to get the connection has it.",
            fix=["use pg_advisory_xact_lock, or call pg_advisory_unlock", WAY_OUT],
        )

    @classmethod
    def task_pending(cls, test: str, tasks: Iterable[str]) -> Self:
        """Tasks that have used the database are not done as the test ends."""
        error = cls(
            f"{test}: a task that uses the database is not done as the test ends.",
            cause="It would go on in the middle of another test, whose rows it would see and change.",
            checked=[f"not done: {task}" for task in tasks],
            fix=["await the task, or cancel it and await that, before the test ends"],
        )
        error.secondary = True
        return error

    @classmethod
    def task_of_earlier_test(cls, test: str, task: str) -> Self:
        """A task of an ended test uses the database again."""
        return cls(
            f"{test}: the task {task} of an earlier test reached the test database.",
            cause="It was not done when the test that began it ended.",
            fix=["await the task, or cancel it and await that, before its test ends"],
        )

    @classmethod
    def thread_of_earlier_test(cls, test: str, kind: str, work: str) -> Self:
        """A ``thread``, or a ``job`` of an executor, of an ended test uses the database again."""
        named = f"the {kind} {work}" if work else f"a {kind}"
        return cls(
            f"{test}: {named} of an earlier test reached the test database.",
            cause="It was not done when the test that began it ended.",
            fix=["join the thread, or wait for the result of the job, before its test ends"],
        )

    @classmethod
    def scope_open(cls, fixture: str, origin: str) -> Self:
        """A fixture of wider scope than a test has not committed what it made."""
        return cls(
            f"fixture {fixture!r} leaves a transaction open in which it has written.",
            cause="What it makes for several tests has to be committed before the first of them.",
            checked=[f"begun at {origin}"],
            fix=["commit, and close the session, before the fixture's yield or return"],
        )

    @classmethod
    def scope_keeps(cls, fixture: str, what: str) -> Self:
        """A fixture of wider scope keeps what belongs to its connection alone."""
        return cls(
            f"fixture {fixture!r} keeps {what} for its tests.",
            cause="It belongs to one connection to the server, and tests of its scope have others.",
            fix=["make it in a fixture of function scope"],
        )

    @classmethod
    def scope_lost(cls, test: str, fixture: str, earlier: str) -> Self:
        """A test has left rows among those that a fixture of wider scope has made."""
        return cls(
            f"{test}: what fixture {fixture!r} has made cannot be had without what {earlier} has left.",
            cause="That test has ended its transaction past the harness, and has failed for that.",
            fix=["see to that test first"],
        )

    @classmethod
    def wider_late(cls, fixture: str, narrower: str) -> Self:
        """A fixture has written that is wider than one that has written before."""
        return cls(
            f"fixture {fixture!r} has written after {narrower!r}, whose scope is narrower.",
            cause="At the end of the narrower scope its rows would be undone with the others.",
            fix=[
                f"have {narrower!r} ask for {fixture!r}, so that it is set up first",
                f"have every test ask for {fixture!r}: autouse=True, or usefixtures in the pytest ini",
                f"give {fixture!r} the narrower scope",
            ],
        )

    @classmethod
    def wider_in_test(cls, test: str, fixture: str) -> Self:
        """A fixture of wider scope has written in the middle of a test."""
        return cls(
            f"{test}: fixture {fixture!r}, whose scope is wider than the test, has written after the test has "
            "used the database.",
            cause="Its rows are undone with those of the test, and other tests of its scope would miss them.",
            fix=[
                f"name {fixture!r} among the test's arguments, or in usefixtures, so that it is set up first"
            ],
        )

    @classmethod
    def left_open(cls, test: str, origins: Iterable[str]) -> Self:
        """Transactions are open as the test ends."""
        error = cls(
            f"{test}: a transaction is still open as the test ends.",
            cause="Its session or connection was not closed, or a task still uses it; in production it would "
            "keep a connection of the pool, idle in transaction.",
            checked=[f"begun at {origin}" for origin in origins],
            fix=["close the session (async with, a dependency with yield), or await the task"],
        )
        error.secondary = True
        return error

    @classmethod
    def transaction_of_earlier_test(cls, test: str, began: str, earlier: str) -> Self:
        """A connection goes on with a transaction of a test that has ended."""
        return cls(
            f"{test}: a connection goes on with the transaction begun at {began} in {earlier}, which has ended.",
            cause="A session or a background task has outlived its test; its rows were rolled back.",
            fix=["close the session, or await the task, before the test ends"],
        )
