"""A read that is sent again: the shortest way through the core, for the most frequent of all groups.

A statement that only reads, is prepared on the server and finds the stack as it needs it has nothing to be
decided: no savepoint, no parameter, no lock. All else takes the long way, with the same result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pgharness.proxy.core import checks, wire
from pgharness.proxy.core.channel import FORWARD, SWALLOW, Section, Unit
from pgharness.proxy.core.client import Client, Prepared
from pgharness.proxy.core.part import Part
from pgharness.proxy.core.statements import Statement

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared

_PORTAL = b"pgh_read"
_ALL_ROWS = b"\x00\x00\x00\x00"
_UNNAMED = len(b"\x00" + _ALL_ROWS)
"""How long the body of an Execute of the unnamed portal is."""
_END = wire.close(b"P", _PORTAL) + wire.SYNC
_EXECUTE_ALL = wire.execute(_PORTAL, _ALL_ROWS)
_DESCRIBE = wire.describe(b"P", _PORTAL)
_UNITS: list[Unit] = [FORWARD, FORWARD, SWALLOW]
_DESCRIBED: list[Unit] = [FORWARD, FORWARD, FORWARD, SWALLOW]


class Repeated:
    """Serves groups of Bind, perhaps Describe, Execute and Sync that read with a prepared statement."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def take(self, client: Client) -> bool:
        """Serve the next group of ``client`` if it is such a one; returns whether it was."""
        queue = client.queue
        count = len(queue)
        if count not in (3, 4) or queue[0][0] != b"B" or queue[-1][0] != b"S":
            return False
        kind, run = queue[-2]
        if kind != b"E" or len(run) != _UNNAMED or (count == 4 and queue[1] != (b"D", b"P\x00")):  # noqa: PLR2004 - with Describe
            return False
        most = run[1:]
        if most != _ALL_ROWS and client.transaction is not None:  # what has more rows stays open in it
            return False
        body = queue[0][1]
        end = body.find(b"\x00", 1)
        prepared = client.statements.get(body[1:end]) if body[:1] == b"\x00" and end > 0 else None
        if prepared is None or not prepared.server_name or not self._is_ready(client, prepared):
            return False
        self._shared.ending = True
        client.stops -= 1
        queue.clear()
        client.last = prepared.statements[0].text
        bound = wire.bind(_PORTAL, prepared.server_name, body[end + 1 :])
        executed = _EXECUTE_ALL if most == _ALL_ROWS else wire.execute(_PORTAL, most)
        data = bound + (executed if count == 3 else _DESCRIBE + executed) + _END  # noqa: PLR2004 - without Describe
        units = _UNITS if count == 3 else _DESCRIBED  # noqa: PLR2004 - the same
        self._shared.channel.send(data, Section(client, self._done, units, Part(client)))
        return True

    def _is_ready(self, client: Client, prepared: Prepared) -> bool:
        """Whether the stack is as a read with ``prepared`` needs it."""
        shared = self._shared
        scope = shared.scope
        stack = scope.stack
        if client.lost or shared.refused_test or scope.temporary or b"" in client.portals:
            return False
        if len(stack.savepoints) != 1 or stack.pending or stack.diverged is not None:
            return False
        top, transaction = stack.savepoints[0], client.transaction
        if transaction is None:
            if not top.is_spare or client.settings != stack.settings:
                return False
        elif (
            not transaction.explicit
            or transaction.failed
            or top.owner is not transaction
            or top.mixed()
            or transaction.effective != stack.settings
        ):
            return False
        return self._only_reads(prepared)

    def _only_reads(self, prepared: Prepared) -> bool:
        functions = self._shared.effects.functions
        if prepared.judged != functions:
            prepared.judged = functions
            prepared.only_reads = len(prepared.statements) == 1 and self._judge(prepared.statements[0])
        return prepared.only_reads

    def _judge(self, statement: Statement) -> bool:
        facts = self._shared.facts
        return not (
            statement.verb not in ("select", "values", "table", "with")
            or checks.writes(statement, facts)
            or statement.set_configs
            or self._shared.effects.may_set(statement)
            or statement.row_locks
            or statement.advisory
            or statement.notifies
            or statement.terminates
            or statement.standing
            or not facts.standing.keys().isdisjoint(statement.words | statement.read_tables)
        )

    def _done(self, section: Section) -> None:
        shared, client = self._shared, section.client
        assert client is not None and section.part is not None  # noqa: S101, PT018 - made with both
        if section.error is not None:
            if client.transaction is None:
                client.transaction = shared.control.new_transaction(client)
                shared.scope.stack.before(client.transaction, writes=False)
            shared.failures.happened(section.part, section)
            client.skipping = False
            if not client.explicit:
                shared.commits.forget(client, kept=False)
        shared.finish(client)
        shared.pump()
