"""The beginning and the end of a test in the shared transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire, writers
from pgharness.proxy.core.channel import Section
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.running import Scope
from pgharness.proxy.core.transaction import Transaction

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared

_LOCKS = (
    "SELECT count(*) FROM pg_catalog.pg_locks "
    "WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()"
)
_UNLOCK = "SELECT pg_catalog.pg_advisory_unlock_all()"


@dataclasses.dataclass(slots=True)
class Report:
    """What is to be said of a test that has ended."""

    refusals: list[Refused]


class Scopes:
    """Begins and ends tests."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._ended: Callable[[Section], None] | None = None
        """What is to be done once the test that ends has been undone."""
        self.restarted = False
        """Whether the sequences stand where a test is to find them."""

    def lost(self) -> None:
        """The connection has gone, and what was to be undone with it."""
        self.restarted = False
        ended = self._ended
        if ended is not None:
            ended(Section(None, ended))

    def begin(self, id_: str, restart: str = "") -> None:
        """Begin the test ``id_``; ``restart`` sets its sequences back, if it is to."""
        self._shared.inside(lambda: self._begin(id_, restart))

    def _begin(self, id_: str, restart: str) -> None:
        shared = self._shared
        shared.refused_test = ""
        if shared.scope.begun:
            shared.channel.send(wire.query("ROLLBACK"), Section(None, lambda _: shared.pump()))
        shared.scope = Scope(id_, shared.facts, shared.defaults, restart)

    def end(self, then: Callable[[Report], None], held: Collection[int] = ()) -> None:
        """Undo what has been done since `begin`, and tell ``then`` what is to be said of it.

        ``held`` are the processes of clients that belong to fixtures of wider scope: they may be in a
        transaction in which they have only read, and go on with it.
        """
        self._shared.inside(lambda: self._end(then, held))

    def _end(self, then: Callable[[Report], None], held: Collection[int]) -> None:
        shared = self._shared
        scope = shared.scope
        report = Report(scope.refusals)
        self._carry_over(scope, held)
        if scope.stack.diverged is None and (origins := writers.open_transactions(scope.stack.savepoints)):
            report.refusals.append(Refused("left_open", origins))
        self._cut_off(scope)
        sql = self._undoing(scope)

        def ended(section: Section) -> None:
            self._ended = None
            if any(row != [b"0"] for row in map(wire.row_values, section.rows[:1])):
                report.refusals.append(Refused("advisory_lock", scope.locked_at))
            if scope.schema_changed:
                shared.statements.schema_undone()
            shared.scope = Scope("", shared.facts, shared.defaults)
            then(report)
            shared.pump()

        if scope.locked_at:
            sql += [_LOCKS, _UNLOCK]
        if sql and self.restarted:  # the server does it while pytest goes on
            sql.append(scope.restart)
        if not sql or not shared.connected:
            ended(Section(None, ended))
        elif scope.locked_at:
            self._ended = ended
            shared.channel.send(wire.query("; ".join(sql)), Section(None, ended))
        else:  # nothing is learnt from the answer: what comes next waits for it, the report does not
            shared.channel.send(wire.query("; ".join(sql)), Section(None, lambda _: shared.pump()))
            ended(Section(None, ended))

    def _undoing(self, scope: Scope) -> list[str]:
        if not scope.begun:
            return []
        self.restarted = bool(scope.restart)
        return ["ROLLBACK"]

    def _carry_over(self, scope: Scope, held: Collection[int]) -> None:
        for pid in held:
            client = self._shared.clients.get(pid)
            transaction = client.transaction if client is not None else None
            if client is not None and transaction is not None and self._only_read(scope, transaction):
                client.carried, client.transaction = True, None
                scope.stack.rollback(transaction)

    def set_aside(self) -> None:
        """The connection is about to be left between tests: who is in a transaction goes on with it later."""
        scope = self._shared.scope
        for client in self._shared.clients.values():
            transaction = client.transaction
            if transaction is not None and transaction.explicit:
                client.carried = self._only_read(scope, transaction)
                client.lost = "" if client.carried else scope.id
            client.transaction = None

    def _only_read(self, scope: Scope, transaction: Transaction) -> bool:
        """Whether ``transaction`` is no other than one that has just begun."""
        if transaction.failed or transaction.snapshot or transaction.locks or transaction.read_only:
            return False
        if not transaction.explicit:
            return False
        savepoints = scope.stack.savepoints
        return not (scope.stack.has_labels(transaction) or writers.wrote(savepoints, transaction))

    def go_on(self, client: Client) -> None:
        """Have ``client`` in a transaction again, after one in which it has only read has been ended."""
        client.carried = False
        client.transaction = self._shared.control.new_transaction(client, explicit=True)

    def _cut_off(self, scope: Scope) -> None:
        """End on the side of the clients what does not outlive a test."""
        for client in self._shared.clients.values():
            if client.transaction is not None:
                if client.explicit:
                    client.lost = scope.id
                client.transaction = None
            client.portals.clear()
            client.cursors.clear()
            client.temporary.clear()
            if client.baseline is None:
                continue
            if client.settings is not client.baseline:
                client.settings = client.baseline
                self._shared.effects.report(client)
            made = [name for name in client.named if name not in client.made_with]
            self._shared.control.sessions.close(b"S", [client.named.pop(name) for name in made])
