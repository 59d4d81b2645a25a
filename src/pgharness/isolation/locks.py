"""Locks of several sessions of a test: on one physical connection they do not exclude each other."""

from __future__ import annotations

from collections.abc import Iterable

from pgharness.isolation.savepoint import Savepoint
from pgharness.isolation.statements import ADVISORY_LOCKS, Statement
from pgharness.isolation.transaction import Transaction

_ADVISORY = "an advisory lock"


class Locks:
    """What the sessions of a test have locked, as the texts of their statements tell."""

    def __init__(self) -> None:
        self._of_sessions: list[Transaction] = []
        """Who took each advisory lock that outlasts its transaction."""

    def take(
        self, transaction: Transaction, statement: Statement, savepoints: Iterable[Savepoint]
    ) -> tuple[str, str] | None:
        """Note what ``statement`` of ``transaction`` locks.

        Returns:
            What that is and where the transaction began that should have kept it out, if there is one.
        """
        wanted = _wanted(statement)
        if statement.unlocks:
            self._unlock(transaction, everything="pg_advisory_unlock_all" in statement.words)
        if not wanted:
            return None
        found = self._held(transaction, wanted, savepoints)
        transaction.locks |= wanted
        if statement.locks:
            self._of_sessions.append(transaction)
        return found

    def _held(
        self, transaction: Transaction, wanted: set[str], savepoints: Iterable[Savepoint]
    ) -> tuple[str, str] | None:
        for other in (savepoint.owner for savepoint in savepoints):
            if other is not transaction and not other.ended and (both := wanted & other.locks):
                return min(both), other.origin
        for taker in self._of_sessions:
            if _ADVISORY in wanted and taker.session is not transaction.session:
                return _ADVISORY, taker.origin
        return None

    def _unlock(self, transaction: Transaction, *, everything: bool) -> None:
        mine = [taker for taker in self._of_sessions if taker.session is transaction.session]
        for taker in mine if everything else mine[-1:]:
            self._of_sessions.remove(taker)


def _wanted(statement: Statement) -> set[str]:
    rows = {f"rows of {table}" for table in statement.read_tables} if statement.row_locks else set()
    return rows | (set() if ADVISORY_LOCKS.isdisjoint(statement.words) else {_ADVISORY})
