"""What a statement may not see, lock or end, as its text tells, while others share its connection."""

from __future__ import annotations

from pgharness.proxy.core import standing, writers
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.running import Facts, Scope
from pgharness.proxy.core.statements import Statement
from pgharness.proxy.core.transaction import Transaction

_ADVISORY = "an advisory lock"


def check(scope: Scope, facts: Facts, client: Client, transaction: Transaction, statement: Statement) -> None:
    """See that ``statement`` of ``transaction`` can be answered as on a connection of its own.

    Raises:
        Refused: It cannot.
    """
    if not scope.id and writes(statement, facts):
        raise Refused("outside_test", transaction.place, "")
    if statement.terminates:
        raise Refused("terminates", statement.text)
    if statement.ends_inside and not client.explicit and statement.kind == "do":
        raise Refused("not_in_transaction", "COMMIT in a DO block")
    if statement.hold:
        raise Refused("session_state", "a cursor WITH HOLD", transaction.place)
    if facts.strict and scope.id:
        standing.check(scope, facts, client, transaction, statement)
    if scope.temporary:
        _check_temporary(scope, client, transaction, statement)
    _check_reads(scope, facts, transaction, statement)
    _check_locks(scope, facts, client, transaction, statement)


def writes(statement: Statement, facts: Facts) -> bool:
    """Whether ``statement`` may change something, by itself or by a function that it calls."""
    return statement.writes or not facts.writers.isdisjoint(statement.words)


def _check_temporary(scope: Scope, client: Client, transaction: Transaction, statement: Statement) -> None:
    for name in sorted({statement.temp_table} | statement.read_tables | statement.changed_tables):
        maker = scope.temporary.get(name)
        session = maker.session if maker is not None else client
        if isinstance(session, Client) and session is not client and name in session.temporary:
            what = f"{name}, a temporary table of another connection"
            raise Refused("session_state", what, transaction.place)


def _check_reads(scope: Scope, facts: Facts, reader: Transaction, statement: Statement) -> None:
    if not facts.strict or not scope.id or not statement.read_tables:
        return
    for table, writer in writers.uncommitted(reader, scope.stack.savepoints, statement.read_tables):
        raise Refused("uncommitted", table, reader.place, writer.place)


def _check_locks(
    scope: Scope, facts: Facts, client: Client, transaction: Transaction, statement: Statement
) -> None:
    """Note what ``statement`` locks, and see that nobody has locked it who would keep it out."""
    if statement.unlocks:
        mine = [taker for taker in scope.session_locks if taker.session is client]
        for taker in mine if statement.unlock_all else mine[-1:]:
            scope.session_locks.remove(taker)
    wanted = {f"rows of {table}" for table in statement.read_tables} if statement.row_locks else set()
    wanted |= {f"table {table}" for table in statement.locked_tables}
    if statement.advisory:
        wanted.add(_ADVISORY)
    if not wanted:
        return
    found = _held(scope, client, transaction, wanted)
    if found is not None:
        what, holder = found
        if statement.skips:
            raise Refused("not_skipped", transaction.place, what, holder.place)
        if facts.strict:
            raise Refused("both_lock", transaction.place, what, holder.place)
    transaction.locks |= wanted
    if statement.locks:
        scope.session_locks.append(transaction)
        scope.locked_at = transaction.place


def _held(
    scope: Scope, client: Client, transaction: Transaction, wanted: set[str]
) -> tuple[str, Transaction] | None:
    for other in (savepoint.owner for savepoint in scope.stack.savepoints):
        if other is not transaction and not other.ended and (both := wanted & other.locks):
            return min(both), other
    for taker in scope.session_locks:
        if _ADVISORY in wanted and taker.session is not client:
            return _ADVISORY, taker
    return None
