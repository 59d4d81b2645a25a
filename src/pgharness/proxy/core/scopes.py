"""The beginning and the end of a test in the shared transaction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire, writers
from pgharness.proxy.core.channel import Section
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.running import Restart, Scope

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

    def begin(self, id_: str, restart: Restart | None = None) -> None:
        """Begin the test, module or class ``id_``, inside what has begun."""
        self._shared.inside(lambda: self._begin(id_, restart))

    def _begin(self, id_: str, restart: Restart | None) -> None:
        shared = self._shared
        outer = shared.scope
        shared.refused_test = ""
        if not outer.id and outer.begun:
            shared.channel.send(wire.query("ROLLBACK"), Section(None, lambda _: shared.pump()))
        scope = Scope(id_, shared.facts, shared.defaults, outer if outer.id else None, restart)
        if outer.id:
            scope.stack.go_on(outer.stack)
            if outer.lost:
                scope.refuse_all(Refused("scope_lost", outer.id))
            elif origins := writers.open_transactions(outer.stack.savepoints):
                scope.refuse_all(Refused("scope_open", outer.id, origins))
        shared.scope = scope

    def end(self, then: Callable[[Report], None]) -> None:
        """Undo what has been done since `begin`, and tell ``then`` what is to be said of it."""
        self._shared.inside(lambda: self._end(then))

    def _end(self, then: Callable[[Report], None]) -> None:
        shared = self._shared
        scope = shared.scope
        report = Report(scope.refusals)
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
            shared.scope = scope.parent or Scope("", shared.facts, shared.defaults)
            then(report)
            shared.pump()

        if scope.locked_at:
            sql += [_LOCKS, _UNLOCK]
        if sql and self.restarted and scope.restart is not None:  # the server does it while pytest goes on
            sql.append(scope.restart.alone)
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
        self.restarted = scope.restart is not None and not scope.base
        if scope.base:
            return [f"ROLLBACK TO SAVEPOINT {scope.base}", f"RELEASE SAVEPOINT {scope.base}"]
        return ["ROLLBACK"]

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
