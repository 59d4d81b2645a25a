"""How a part of a client's messages reaches the server: what precedes it, and what is asked after it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pgharness.proxy.core import checks, standing, wire
from pgharness.proxy.core.channel import Section
from pgharness.proxy.core.client import Client, Portal
from pgharness.proxy.core.commit import LET_WAIT
from pgharness.proxy.core.failures import Failure
from pgharness.proxy.core.part import Part
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.settings import current
from pgharness.proxy.core.statements import Statement, read
from pgharness.proxy.core.transaction import Transaction

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared

_IN_BLOCK = frozenset(("declare", "lock", "set"))
"""The first words of statements that want a transaction block."""


class Sending:
    """Sends parts on the shared connection."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.closes: list[bytes] = []
        """Close messages for what has ended on the side of its client."""

    def usable(self, part: Part) -> Transaction:
        """The transaction in which ``part`` is sent, begun if there is none.

        Raises:
            Failure: It is in a failed transaction.
            Refused: That transaction has ended with an earlier test, or nobody may use the database.
        """
        if part.transaction is not None:
            return part.transaction
        shared, client = self._shared, part.client
        if shared.refused_test:
            raise Refused("outside_test", str(client.origin()), shared.refused_test)
        if not shared.connected:
            raise shared.scope.stack.diverged or Refused("connection_lost")
        if client.lost:
            raise Refused("transaction_of_earlier_test", str(client.origin()), client.lost)
        transaction = client.transaction
        if transaction is None:
            transaction = client.transaction = shared.control.new_transaction(client)
        if transaction.failed:
            raise Failure.aborted()
        part.transaction = transaction
        return transaction

    def examine(self, statement: Statement, part: Part, portal: Portal | None = None) -> None:
        """Note in ``part`` what ``statement``, with the parameters of ``portal``, is about to do.

        Raises:
            Failure: PostgreSQL would refuse it.
            Refused: One transaction cannot answer it as separate connections would.
        """
        shared, client = self._shared, part.client
        transaction = self.usable(part)
        if not transaction.used and transaction.explicit:
            transaction.origin.began(statement.text)
        transaction.queried = transaction.queried or statement.kind not in ("set", "show")
        if not transaction.explicit and statement.verb in _IN_BLOCK:
            _outside_block(client, statement)
        checks.check(shared.scope, shared.facts, client, transaction, statement)
        if statement.cluster and shared.scope.id:
            shared.claim(statement.text)
        if standing.notifies(shared.facts, statement):
            shared.control.sessions.check_listeners(client, statement)
        shared.effects.foresee(client, statement, part, portal)
        part.statements.append(statement)
        # An open cursor is lost, as what is written is, where another's rollback lies beneath it.
        part.writes = part.writes or statement.kind == "declare" or checks.writes(statement, shared.facts)
        if statement.changed_tables:
            transaction.tables |= statement.changed_tables
            shared.scope.tables |= statement.changed_tables

    def send(self, part: Part) -> None:
        """Send ``part`` in one packet with what has to precede and to follow it.

        Raises:
            Refused: It would see something that separate connections would not show.
        """
        shared = self._shared
        channel, effects = shared.channel, shared.effects
        transaction = self.usable(part)
        unknown = [name for name in part.settings if name not in shared.defaults]
        self.precede(transaction, writes=part.writes)
        if unknown:
            channel.send(wire.query(current(unknown)), Section(None, effects.defaults_of(unknown)))
        data = bytes(part.sent) if part.simple else bytes(part.sent) + wire.SYNC
        units = None if part.simple else part.units
        done = self._done(part)
        section = part.section = Section(part.client, _nothing if part.settings else done, units, part)
        channel.send(data, section)
        if part.settings:
            channel.send(wire.query(current(part.settings)), Section(None, done))

    def precede(self, transaction: Transaction, *, writes: bool, more: list[str] | None = None) -> None:
        """Send what has to precede a statement of ``transaction``, the beginning of the test included.

        ``more`` is sent after it, in the same query.
        """
        shared = self._shared
        scope = shared.scope
        sql = scope.stack.before(transaction, writes=writes)
        if scope.let_wait:
            scope.let_wait = False
            sql.append(LET_WAIT)
        if not scope.begun:
            sql = [*self.opening(), *sql]
        if self.closes:
            shared.channel.send(b"".join(self.closes) + wire.SYNC, Section(None, _nothing))
            self.closes.clear()
        if sql or more:
            shared.channel.send(wire.query("; ".join([*sql, *(more or ())])), Section(None, self._preceded))

    def opening(self) -> list[str]:
        """What begins the transaction of the test."""
        scope = self._shared.scope
        scope.begun = True
        begin = "BEGIN" if scope.id else "BEGIN READ ONLY"
        return [begin, scope.restart] if scope.restart and not self._shared.scopes.restarted else [begin]

    def _preceded(self, section: Section) -> None:
        stack = self._shared.scope.stack
        if section.error is not None and stack.diverged is None:
            stack.diverged = Refused("interrupted")

    def _done(self, part: Part) -> Callable[[Section], None]:
        def done(last: Section) -> None:
            shared = self._shared
            section = part.section
            assert section is not None  # noqa: S101 - set when it was sent
            if section.error is not None:
                shared.failures.happened(part, section)
            else:
                shared.effects.happened(part, last.rows if last is not section else [])
            if section.status == b"I":
                shared.failures.leaked(part)
            shared.pump()

        return done


def _outside_block(client: Client, statement: Statement) -> None:
    """Answer ``statement`` as PostgreSQL does outside a transaction block.

    Raises:
        Failure: It is not possible there.
    """
    if len(read(client.last)) > 1:  # several in one query are a block
        return
    if statement.verb == "lock":
        raise Failure.no_block("LOCK TABLE")
    if statement.kind == "declare" and not statement.hold:
        raise Failure.no_block("DECLARE CURSOR")
    if statement.is_local or statement.kind == "set constraints":
        command = "SET LOCAL" if statement.is_local else "SET CONSTRAINTS"
        client.out += wire.notice("25P01", f"{command} can only be used in transaction blocks")


def _nothing(_: Section) -> None:
    """Nothing is to be done at the end of a section."""
