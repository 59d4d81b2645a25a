"""What the transactions of rollback isolation find out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from pgharness.errors.left_behind import WAY_OUT, LeftBehindError


class IsolationError(LeftBehindError):
    """Rollback isolation cannot behave as separate connections would."""

    leaked_rows = False
    """Whether the worker's database may hold what the test wrote, and must be made anew."""

    @property
    def needs_real_commits(self) -> bool:
        """Whether the test can be shown the truth by real commits."""
        return WAY_OUT in self.fix

    @classmethod
    def outside_test(cls, where: str, test: str) -> IsolationError:
        """The database of the tests was reached, and no test has asked for it."""
        if test:
            failed = f"{test} reached the test database at {where} and is not isolated."
            cause = "A test of the tier unit, and an item that takes no fixtures, has no transaction to be rolled back."
            fix = ["move the test to tests/integration or tests/api"]
        else:
            failed = f"the test database was written to at {where} while no test was running."
            cause = "A task, a thread or another process that goes on between tests; nothing would undo it."
            fix = [
                "stop it, or wait for it, before its test ends",
                "if its rows are for several tests, have a fixture of their scope write them",
            ]
        return cls(failed, cause=cause, fix=fix)

    @classmethod
    def not_in_transaction(cls, test: str, message: str) -> IsolationError:
        """A statement that PostgreSQL refuses inside any transaction."""
        return cls(
            f"{test}: PostgreSQL refused a statement inside the test's transaction: {message}",
            cause="Under rollback isolation every statement runs inside one, AUTOCOMMIT or not.",
            fix=[WAY_OUT],
        )

    @classmethod
    def diverged(cls, test: str, origin: str, others: Iterable[str], where: str) -> IsolationError:
        """A rollback took others' work with it; raised by the next statement of the test."""
        at = f" at {where}" if where else ""
        return cls(
            f"{test}: the transaction begun at {origin} was rolled back{at}, and others had written meanwhile.",
            cause="On separate connections their work would have stayed; inside one transaction it is undone too.",
            checked=[f"also undone: the work of the transaction begun at {other}" for other in others],
            fix=["end the first transaction (commit, rollback or close) before the others write", WAY_OUT],
        )

    @classmethod
    def stale_snapshot(cls, test: str, origin: str, level: str, others: Iterable[str]) -> IsolationError:
        """A REPEATABLE READ or SERIALIZABLE transaction would read what came after its snapshot."""
        return cls(
            f"{test}: the {level} transaction begun at {origin} goes on after others have written.",
            cause="On a connection of its own it would not see their rows; inside one transaction it does.",
            checked=[f"written meanwhile: by the transaction begun at {other}" for other in others],
            fix=[WAY_OUT],
        )

    @classmethod
    def uncommitted(cls, test: str, table: str, reader: str, writer: str) -> IsolationError:
        """A session reads a table that another has changed and not committed."""
        return cls(
            f"{test}: the transaction begun at {reader} reads {table}, where the one begun at {writer} has rows "
            "that it has not committed.",
            cause="Inside one transaction it sees them; on connections of their own, as in production, it would not.",
            fix=[
                "commit what the test arranges: await db_session.commit() is rolled back with the test",
                WAY_OUT,
            ],
        )

    @classmethod
    def both_lock(cls, test: str, origin: str, what: str, other: str) -> IsolationError:
        """A session locks what another has locked, and does not wait for it."""
        return cls(
            f"{test}: the transaction begun at {origin} locks {what}, where the one begun at {other} has taken "
            "its lock.",
            cause="Inside one transaction both have it; on connections of their own one may have to wait.",
            fix=["end the first transaction before the other begins", WAY_OUT],
        )

    @classmethod
    def not_skipped(cls, test: str, origin: str, what: str, other: str) -> IsolationError:
        """A session asks for a lock only if it is free, and another session has it."""
        return cls(
            f"{test}: the transaction begun at {origin} tries to lock {what}, where the one begun at {other} has "
            "taken its lock.",
            cause="Inside one transaction it gets what the other has; on a connection of its own it would not.",
            fix=["end the first transaction before the other begins", WAY_OUT],
        )

    @classmethod
    def not_delivered(cls, test: str, origin: str, listener: str) -> IsolationError:
        """NOTIFY in the test's transaction, and somebody listens outside it."""
        return cls(
            f"{test}: the NOTIFY sent at {origin} does not reach the connection that began to listen at {listener}.",
            cause="PostgreSQL delivers at the commit, and the test's transaction is rolled back.",
            fix=[WAY_OUT],
        )

    @classmethod
    def deferred_constraint(
        cls, test: str, origin: str, others: Iterable[str], message: str
    ) -> IsolationError:
        """A check at commit failed, and rows of others may be the reason."""
        return cls(
            f"{test}: at the commit of the transaction begun at {origin} a deferred constraint failed, and others "
            f"had written: {message}",
            cause="Inside one transaction PostgreSQL checks the rows of both, and theirs may not be complete yet.",
            checked=[f"not committed yet: the transaction begun at {other}" for other in others],
            fix=["end the other transaction first", WAY_OUT],
        )

    @classmethod
    def interrupted(cls, test: str) -> IsolationError:
        """A savepoint was cancelled on its way; what PostgreSQL has done is no longer known."""
        return cls(
            f"{test}: a command that opens or closes a transaction was interrupted.",
            cause="What PostgreSQL has done of it is not known, so nothing more is read from this transaction.",
            fix=["cancel or time out statements rather than the start of a transaction", WAY_OUT],
        )

    @classmethod
    def leaked(cls, test: str, statement: str, where: str) -> IsolationError:
        """The test's transaction was ended by something that the proxy could not translate."""
        error = cls(
            f"{test}: the test's transaction was committed or rolled back past the harness.",
            cause="A statement ended it whose text does not show that; its changes may have stayed.",
            checked=[
                f"the last before: {textwrap.shorten(statement, 80)!r} of the transaction begun at {where}"
            ],
            fix=["send COMMIT and ROLLBACK as statements of their own", WAY_OUT],
        )
        error.leaked_rows = True
        return error

    @classmethod
    def connection_lost(cls, test: str) -> IsolationError:
        """The connection that all share closed in the middle of the test."""
        return cls(
            f"{test}: the connection that holds the test's transaction was closed by the server.",
            cause="pg_terminate_backend or a server that stopped; what the test had written is gone.",
            fix=[WAY_OUT],
        )

    @classmethod
    def terminates(cls, test: str, statement: str) -> IsolationError:
        """A statement ends processes of the server; all clients of a test share one."""
        return cls(
            f"{test}: {textwrap.shorten(statement, 80)!r} ends connections of the server.",
            cause="The connections of a test share one; ended, it would take the work of all with it.",
            fix=[WAY_OUT],
        )

    @classmethod
    def two_phase(cls, test: str, statement: str, where: str) -> IsolationError:
        """A transaction is prepared for a two-phase commit, or one that was is ended."""
        return cls(
            f"{test}: {textwrap.shorten(statement, 80)!r} was sent by the transaction begun at {where}.",
            cause="PostgreSQL prepares whole transactions, and all of a test's are inside one.",
            fix=[WAY_OUT],
        )

    @classmethod
    def session_state(cls, test: str, what: str, where: str) -> IsolationError:
        """Something that belongs to one session, and that the sessions of a test would share."""
        return cls(
            f"{test}: the transaction begun at {where} uses {what}.",
            cause="On connections of their own each session has its own; those of a test share one.",
            fix=[WAY_OUT],
        )

    @classmethod
    def busy(cls, test: str, where: str, seconds: float, statement: str, other: str) -> IsolationError:
        """Another session's statement did not end within pg_lock_timeout."""
        return cls(
            f"{test}: the session of {where} waited {seconds:g} s for the one of {other}, whose statement has not "
            f"ended: {textwrap.shorten(statement, 80)!r}.",
            cause="Sessions of one test share one connection, and each waits for the other's statement.",
            fix=["let one statement end before the other begins", "raise --pg-lock-timeout", WAY_OUT],
        )

    @classmethod
    def locked(
        cls, test: str, statement: str, where: str, seconds: float, holders: Iterable[str]
    ) -> IsolationError:
        """A lock of a connection past the proxy was waited for in vain."""
        return cls(
            f"{test}: {textwrap.shorten(statement, 80)!r}, of the session of {where}, waited {seconds:g} s for a "
            "lock in PostgreSQL.",
            cause="A connection that has not joined the test's transaction holds it: one to the server's own address.",
            checked=[f"in a transaction: {holder}" for holder in holders],
            fix=["end the other transaction first", "raise --pg-lock-timeout", WAY_OUT],
        )
