"""Many transactions inside one: the savepoints of a test's physical transaction.

PostgreSQL's savepoints are a stack, sessions are not: they overlap and end in any order. This
module decides, without doing any I/O, which SQL makes the stack behave as separate connections
would, and says so when no SQL can. Its rules:

* A transaction begins with a savepoint before its first statement. When another transaction has
  opened one since, its next statement gets a savepoint of its own on top (a *segment*), so a
  statement that fails takes nobody else's work with it.
* A commit releases its savepoints if nothing lies above them; otherwise the release is postponed
  until what lies above has ended. One that the application releases goes at once only if it lies
  on another of its transaction, so that nobody's open work is mixed with what somebody else holds.
* A rollback goes back to the transaction's first savepoint, or to the first in which it wrote.
  Savepoints of others above it that hold no writes are made again. If others *have* written above,
  no SQL can undo one and keep the other: the rollback is done, the transaction has *diverged*, and
  the next statement of anybody in this test raises. Nothing is read from a diverged transaction.
* READ ONLY would hold for whatever lies above, so such a transaction floats: it gives its
  savepoints up when another comes, and sets them again, on top, for its next statement.

The SQL is returned as a list to be sent in one round trip, before the caller's next statement;
ends of transactions wait in `Stack.pending` until then, for nothing can observe them earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pgharness.errors import IsolationError
from pgharness.isolation.savepoint import Savepoint, restore_setting, save_setting, set_settings
from pgharness.isolation.statements import Statement
from pgharness.isolation.transaction import Transaction
from pgharness.isolation.writers import others


class Stack:
    """The savepoints of one physical transaction, lowest first.

    Args:
        test: The id of the test, for messages.
        writers: Lower-case names of functions of the schema that can write; a SELECT that calls
            one counts as a write.
        defaults: The server's values of the parameters that connections set; shared, may grow.
    """

    def __init__(
        self, test: str, writers: Iterable[str] = (), defaults: Mapping[str, str] | None = None
    ) -> None:
        self.test = test
        self.writers = frozenset(writers)
        self.defaults: Mapping[str, str] = defaults if defaults is not None else {}
        self.savepoints: list[Savepoint] = []
        self.pending: list[str] = []
        self.diverged: IsolationError | None = None
        self.aborted = False
        """Whether the server will be in a failed transaction after what is pending."""
        self._snapshots: list[Transaction] = []
        self._settings: Mapping[str, str] = {}
        self._count = 0

    def go_on(self, outer: Stack) -> None:
        """Begin where ``outer`` stands, inside whose transaction this one's savepoints are set."""
        self._settings = outer._settings
        self._count = outer._count

    # -- statements ---------------------------------------------------------------------------

    def before(self, transaction: Transaction, statement: Statement, local_setting: str = "") -> list[str]:
        """The SQL to send before a plain statement of ``transaction``.

        ``local_setting`` names a parameter that the statement sets until the transaction's end.

        Raises:
            IsolationError: The statement would see something that separate connections would not show.
        """
        if self.diverged is not None:
            raise self.diverged
        if transaction.snapshot and transaction.overlapped:
            writers = [other.origin for other in transaction.overlapped]
            raise IsolationError.stale_snapshot(self.test, transaction.origin, transaction.snapshot, writers)
        top = self.savepoints[-1] if self.savepoints else None
        room: list[str] = []
        if top is None or top.owner is not transaction or top.mixed():
            if top is not None and top.owner is not transaction:
                room = self._make_room(top, transaction)
            room += self._push(transaction)
        sql = self.take_pending() + room
        sql += self._apply_settings(transaction)
        if local_setting and local_setting not in transaction.local_settings:
            transaction.local_settings.append(local_setting)
            sql.append(save_setting(local_setting))
        if statement.writes or local_setting or not self.writers.isdisjoint(statement.words):
            self.savepoints[-1].writers[transaction] = None
            for reader in self._snapshots:
                if reader is not transaction:
                    reader.overlapped[transaction] = None
        return sql

    def changed(self, transaction: Transaction, name: str, value: str) -> None:
        """A statement of ``transaction`` has set the parameter ``name`` for its session."""
        transaction.settings = {**transaction.settings, name: value}
        self._settings = {**self._settings, name: value}

    def failed(self, transaction: Transaction) -> None:
        """A statement of ``transaction`` failed on the server: the innermost savepoint is aborted.

        What that one holds is lost, whoever ends the failed state and however.
        """
        transaction.failed = True
        self.aborted = True
        self.savepoints[-1].writers.clear()

    def setting(self, name: str) -> str | None:
        """What the parameter has been set to for the statement that comes next, if anybody has."""
        return self._settings.get(name)

    def _make_room(self, top: Savepoint, newcomer: Transaction) -> list[str]:
        """What must happen before another transaction may set a savepoint above ``top``."""
        for savepoint in self.savepoints:
            owner = savepoint.owner
            if owner.local_settings and owner is not newcomer and not owner.ended:
                name = owner.local_settings[0]
                raise IsolationError.local_setting(self.test, owner.origin, newcomer.origin, name)
        sql: list[str] = []
        if self.aborted:
            self.aborted = False
            self._settings = top.settings
            sql.append(f"ROLLBACK TO SAVEPOINT {top.name}")
        if top.owner.read_only:
            mine = self._of(top.owner)
            top.owner.floating = [savepoint.label for savepoint in mine if savepoint.label]
            sql += self._finish(mine)
        return sql

    def _push(self, transaction: Transaction, label: str = "") -> list[str]:
        if transaction.snapshot and transaction not in self._snapshots:
            self._snapshots.append(transaction)
        self._count += 1
        set_locally = len(transaction.local_settings)
        made = Savepoint(f"pgh_{self._count}", transaction, label, self._settings, set_locally)
        self.savepoints.append(made)
        sql = made.commands
        floating, transaction.floating = transaction.floating, []
        for given_up in floating:
            sql += self._push(transaction, given_up)
        return sql

    def _apply_settings(self, transaction: Transaction) -> list[str]:
        if not self._settings and not transaction.settings:
            return []
        wanted = {name: self.defaults.get(name, "") for name in self._settings} | dict(transaction.settings)
        changed = {name: value for name, value in wanted.items() if self._settings.get(name) != value}
        if not changed:
            return []
        self._settings = wanted
        return [set_settings(changed)]

    # -- savepoints of the application ----------------------------------------------------------

    def savepoint(self, transaction: Transaction, label: str) -> list[str]:
        """``SAVEPOINT label`` of ``transaction``."""
        return self.before(transaction, _READ) + self._push(transaction, label)

    def release_to(self, transaction: Transaction, label: str) -> list[str] | None:
        """``RELEASE SAVEPOINT label``; None if there is no such savepoint."""
        if (target := self._find(transaction, label)) is None:
            return None
        released = self._of(transaction, target)
        for savepoint in released:
            savepoint.label = ""
        count = len(self.savepoints)
        while self.savepoints[count - 1] in released:
            below = self.savepoints[count - 2]
            if below.owner is not transaction or below.mixed():
                break
            count -= 1
        return self.take_pending() + self._release(count)

    def rollback_to(
        self, transaction: Transaction, label: str, *, where: Callable[[], str] | None = None
    ) -> list[str] | None:
        """``ROLLBACK TO SAVEPOINT label``; None if there is no such savepoint."""
        if (target := self._find(transaction, label)) is None:
            return None
        transaction.failed = False
        for savepoint in self._of(transaction, target)[1:]:
            savepoint.label = ""
        return self.take_pending() + self._undo(target, keep=True, where=where)

    # -- ends ---------------------------------------------------------------------------------

    def commit(self, transaction: Transaction, *, where: Callable[[], str] | None = None) -> bool:
        """End ``transaction``, keeping its work. True if it was kept.

        A failed one is rolled back, as PostgreSQL turns COMMIT of a failed transaction into ROLLBACK.
        """
        if transaction.failed:
            self.rollback(transaction, where=where)
            return False
        self.pending += [restore_setting(name) for name in transaction.local_settings]
        self._end(transaction)
        self.pending += self._finish(self._of(transaction))
        return True

    def rollback(self, transaction: Transaction, *, where: Callable[[], str] | None = None) -> None:
        """End ``transaction``, undoing its work; ``where`` yields the place for a message."""
        self._end(transaction)
        mine = self._of(transaction)
        if not mine:
            return
        self.pending += self._undo(mine[0], keep=False, where=where)
        for reader in self._snapshots:
            reader.overlapped.pop(transaction, None)

    def _end(self, transaction: Transaction) -> None:
        transaction.ended = True
        if transaction in self._snapshots:
            self._snapshots.remove(transaction)

    def _undo(self, target: Savepoint, *, keep: bool, where: Callable[[], str] | None) -> list[str]:
        """Go back to ``target``; ``keep`` leaves it in place, as ROLLBACK TO does."""
        owner, above = target.owner, self.savepoints[self.savepoints.index(target) :]
        cut: Savepoint | None = target
        if others(owner, above):
            failed = above[-1] if self.aborted and above[-1].owner is owner else None
            cut = next((savepoint for savepoint in above if owner in savepoint.writers), failed)
        if cut is not None and (lost := others(owner, above[above.index(cut) :])):
            if self.diverged is None:
                place = where() if where else ""
                self.diverged = IsolationError.diverged(self.test, owner.origin, lost, place)
            cut = target
        sql = self._cut(cut, keep=keep and cut is target) if cut is not None else []
        return sql if keep else sql + self._finish(self._of(owner))

    def _cut(self, target: Savepoint, *, keep: bool) -> list[str]:
        """ROLLBACK TO ``target`` and set again the open savepoints of others above it."""
        index = self.savepoints.index(target)
        undone = self.savepoints[index:]
        del self.savepoints[index:]
        for savepoint in undone:
            savepoint.writers.clear()
            del savepoint.owner.local_settings[savepoint.local_settings :]
        self.aborted = False
        self._settings = target.settings
        sql = [f"ROLLBACK TO SAVEPOINT {target.name}"]
        if keep:
            self.savepoints.append(target)
        else:
            sql.append(f"RELEASE SAVEPOINT {target.name}")
        for savepoint in undone:
            if savepoint.owner is not target.owner and not savepoint.done:
                savepoint.settings = self._settings
                self.savepoints.append(savepoint)
                sql += savepoint.commands
        return sql

    def _finish(self, finished: list[Savepoint]) -> list[str]:
        """Mark ``finished`` done and release the topmost savepoints whose owners are done with them."""
        for savepoint in finished:
            savepoint.done = True
        count = len(self.savepoints)
        while count and self.savepoints[count - 1].done:
            count -= 1
        return self._release(count)

    def _release(self, count: int) -> list[str]:
        """Release all savepoints but the lowest ``count``; the topmost of those takes what they hold."""
        released = self.savepoints[count:]
        del self.savepoints[count:]
        if self.savepoints:
            for savepoint in released:
                self.savepoints[-1].writers.update(savepoint.writers)
        return [f"RELEASE SAVEPOINT {released[0].name}"] if released else []

    # -- helpers --------------------------------------------------------------------------------

    def take_pending(self) -> list[str]:
        """The SQL that waits for the next statement; it is the caller's to send."""
        sql, self.pending = self.pending, []
        return sql

    def _of(self, transaction: Transaction, since: Savepoint | None = None) -> list[Savepoint]:
        start = self.savepoints.index(since) if since is not None else 0
        return [s for s in self.savepoints[start:] if s.owner is transaction and not s.done]

    def _find(self, transaction: Transaction, label: str) -> Savepoint | None:
        if transaction.floating:
            self.pending = self.before(transaction, _READ)
        return next((s for s in reversed(self._of(transaction)) if s.label == label), None)


_READ = Statement("plain", writes=False)
