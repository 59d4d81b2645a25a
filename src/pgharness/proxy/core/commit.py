"""The end of a client's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire, writers
from pgharness.proxy.core.channel import Section
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.settings import literal
from pgharness.proxy.core.transaction import Transaction

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared

LET_WAIT = """DO $$ DECLARE waiting text; BEGIN
  SELECT string_agg(format('%I.%I', n.nspname, c.conname), ', ') INTO waiting
  FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
  WHERE c.condeferred;
  IF waiting IS NOT NULL THEN EXECUTE 'SET CONSTRAINTS ' || waiting || ' DEFERRED'; END IF;
END $$"""
"""Has those constraints wait for the commit again that do so by themselves."""
_CHECK = ["SET CONSTRAINTS ALL IMMEDIATE", LET_WAIT]
"""Checks what a commit would check."""


def at_temporary(name: str, command: str) -> str:
    """Do ``command`` with the temporary table, view or sequence ``name`` if there is one."""
    named = literal(name)
    return f"""DO $pgharness$ DECLARE kind text; BEGIN
  SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END INTO kind
  FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.pg_my_temp_schema() AND relname = {named}
    AND relkind IN ('r', 'p', 'v', 'S');
  IF FOUND THEN EXECUTE pg_catalog.format('{command} %s pg_temp.%I CASCADE', kind, {named}); END IF;
END $pgharness$"""


class Commits:
    """Ends transactions, and checks what has waited for that."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def end(
        self, client: Client, then: Callable[[], None], answer: Callable[[bool], None] | None = None
    ) -> None:
        """Commit the transaction of ``client``, or roll it back if it has failed, and do ``then``.

        ``answer`` is told before that whether its work has been kept, unless the commit fails.
        """
        transaction = client.transaction
        assert transaction is not None  # noqa: S101 - the caller's client has one
        if self._must_check(transaction):
            self._check(client, transaction, then, answer)
            return
        self._finish(client, transaction, then, answer)

    def _must_check(self, transaction: Transaction) -> bool:
        scope = self._shared.scope
        return (
            scope.deferrable
            and not transaction.failed
            and scope.stack.diverged is None
            and writers.wrote(scope.stack.savepoints, transaction)
        )

    def _check(
        self,
        client: Client,
        transaction: Transaction,
        then: Callable[[], None],
        answer: Callable[[bool], None] | None,
    ) -> None:
        shared = self._shared
        scope = shared.scope
        scope.checked = True

        def checked(section: Section) -> None:
            if section.error is None:
                self._finish(client, transaction, then, answer)
            else:
                client.out += self._violated(transaction, section.error)
                scope.stack.failed(transaction)
                if answer is not None:  # else it was the group's own end
                    shared.abandon(client)
                self.forget(client, kept=False)
                then()
            shared.pump()

        try:
            shared.sending.precede(transaction, writes=True)
        except Refused as refused:
            shared.refuse(client, refused)
            self.forget(client, kept=False)
            then()
            return
        shared.channel.send(wire.query("; ".join(_CHECK)), Section(None, checked))

    def _violated(self, transaction: Transaction, error: bytes) -> bytes:
        """The message for a client whose commit fails with ``error``.

        Others that are open and have written may yet mend what they have broken; PostgreSQL cannot tell
        their rows from those of the one that commits.
        """
        shared = self._shared
        others = writers.open_others(transaction, shared.scope.stack.savepoints)
        if not others:
            return wire.message(b"E", error)
        text = wire.fields(error).get("M", "")
        refused = Refused("deferred_constraint", transaction.place, others, text)
        shared.scope.refusals.append(refused)
        return wire.error("ERROR", "0A000", *shared.sentence(shared.scope.id, refused))

    def _finish(
        self,
        client: Client,
        transaction: Transaction,
        then: Callable[[], None],
        answer: Callable[[bool], None] | None,
    ) -> None:
        kept = not transaction.failed
        if kept:
            transaction.at_commit += tuple(self._for_temporary(client, transaction))
        self.forget(client, kept=kept)
        if answer is not None:
            answer(kept)
        then()

    def _for_temporary(self, client: Client, transaction: Transaction) -> list[str]:
        """What PostgreSQL does with temporary tables at a commit."""
        if not client.temporary or not transaction.used:
            return []
        sql = []
        for name, at_commit in list(client.temporary.items()):
            if at_commit == "drop":
                sql.append(at_temporary(name, "DROP"))
                del client.temporary[name]
            elif at_commit == "delete rows":
                sql.append(at_temporary(name, "TRUNCATE"))
        return sql

    def drop_temporary(self, client: Client) -> None:
        """Drop before the next statement what ``client`` has of its own."""
        drops = [at_temporary(name, "DROP") for name in client.temporary]
        client.temporary.clear()
        stack = self._shared.scope.stack
        if not drops or stack.diverged is not None:
            return
        if client.transaction is not None:
            stack.pending = stack.before(client.transaction, writes=True) + drops
        elif all(savepoint.done for savepoint in stack.savepoints):
            # On their own, so that what fails next does not bring them back.
            alone = Transaction(client.origin(), session=client)
            stack.pending = stack.before(alone, writes=True) + drops
            stack.commit(alone)
        else:
            stack.pending += drops

    def forget(self, client: Client, *, kept: bool) -> None:
        """End the transaction of ``client`` in the stack, and what ends with it."""
        shared = self._shared
        transaction, client.transaction = client.transaction, None
        if transaction is None:
            return
        if kept:
            shared.scope.stack.commit(transaction)
            if client.settings is not transaction.settings:
                client.settings = transaction.settings
        else:
            shared.scope.stack.rollback(transaction)
            for name in [name for name, maker in shared.scope.temporary.items() if maker is transaction]:
                del shared.scope.temporary[name]
                client.temporary.pop(name, None)
        for portal in client.portals.values():
            if portal.server_name:
                shared.sending.closes.append(wire.close(b"P", portal.server_name))
        shared.sending.closes += [wire.close(b"P", name.encode()) for name in client.cursors.values()]
        client.portals.clear()
        client.cursors.clear()
        shared.effects.report(client)
