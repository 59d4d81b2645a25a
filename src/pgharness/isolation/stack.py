"""Many transactions inside one: the savepoints of a test's physical transaction.

PostgreSQL's savepoints are a stack, sessions are not: they overlap and end in any order. This
module decides, without doing any I/O, which SQL makes the stack behave as separate connections
would, and says so when no SQL can. Its rules:

* A transaction begins with a savepoint before its first statement. When another transaction has
  opened one since, its next statement gets a savepoint of its own on top (a *segment*), so a
  statement that fails takes nobody else's work with it.
* A commit releases its savepoints if nothing lies above them; otherwise the release is postponed
  until what lies above has ended.
* A rollback goes back to the transaction's first savepoint. Savepoints of others above it that
  have written nothing since are made again. If others *have* written since, no SQL can undo one
  and keep the other: the rollback is done, the transaction is marked as *diverged*, and the next
  statement of anybody in this test raises. Nothing is ever read from a diverged transaction.

The SQL is returned as a list to be sent in one round trip, before the caller's next statement;
ends of transactions wait in `Stack.pending` until then, for nothing can observe them earlier.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from pgharness.errors import IsolationError
from pgharness.isolation.statements import Statement


@dataclasses.dataclass(eq=False, slots=True)
class Transaction:
    """One transaction of the application or the test, as its connection sees it.

    Args:
        origin: Where it began, ``file:line in function``, for messages.
        read_only: It was begun READ ONLY.
        snapshot: ``REPEATABLE READ`` or ``SERIALIZABLE`` if it was begun so.
        settings: Run-time parameters of its connection that differ from the server's.
    """

    origin: str
    read_only: bool = False
    snapshot: str = ""
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    failed: bool = False
    ended: bool = False
    overlapped: dict[Transaction, None] = dataclasses.field(default_factory=dict)
    """Who has written since its first statement; kept for snapshots only."""
    local_settings: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=False, slots=True)
class Savepoint:
    """A savepoint on the server: whose it is and what has been written since.

    ``label`` is the name the application gave it; empty for one of the harness's own.
    ``wrote`` means that the owner has written directly in it, not in a later one of its own.
    ``others`` are the other transactions that have written since it was set.
    ``done`` means that its owner has released it and the release is postponed.
    ``settings`` are those in force when it was set, to which ROLLBACK TO returns.
    """

    name: str
    owner: Transaction
    label: str
    settings: Mapping[str, str]
    wrote: bool = False
    others: dict[Transaction, None] = dataclasses.field(default_factory=dict)
    done: bool = False


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
        """Whether the server is in a failed transaction; the topmost savepoint's owner failed."""
        self._snapshots: list[Transaction] = []
        self._settings: Mapping[str, str] = {}
        self._count = 0

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
            others = [other.origin for other in transaction.overlapped]
            raise IsolationError.stale_snapshot(self.test, transaction.origin, transaction.snapshot, others)
        sql = self._take_pending()
        top = self.savepoints[-1] if self.savepoints else None
        if top is None or top.owner is not transaction or top.others:
            if top is not None and top.owner is not transaction:
                sql += self._make_room(top, transaction)
            sql += self._push(transaction)
        if self._settings or transaction.settings:
            sql += self._apply_settings(transaction)
        if local_setting and local_setting not in transaction.local_settings:
            transaction.local_settings.append(local_setting)
            sql.append(_save_setting(local_setting))
        if statement.writes or not self.writers.isdisjoint(statement.words):
            self._note_write(transaction)
        return sql

    def failed(self, transaction: Transaction) -> None:
        """A statement of ``transaction`` failed on the server: the innermost savepoint is aborted."""
        transaction.failed = True
        self.aborted = True

    def _make_room(self, top: Savepoint, newcomer: Transaction) -> list[str]:
        """What must happen before another transaction may set a savepoint above ``top``."""
        for savepoint in self.savepoints:
            owner = savepoint.owner
            if owner.local_settings and owner is not newcomer and not owner.ended:
                raise IsolationError.local_setting(
                    self.test, owner.origin, newcomer.origin, owner.local_settings[0]
                )
        if self.aborted:
            self.aborted = False
            self._settings = top.settings
            return [f"ROLLBACK TO SAVEPOINT {top.name}"]
        if top.owner.read_only:  # READ ONLY would hold for whatever lies above; nothing was written
            return self._finish(self._of(top.owner))
        return []

    def _push(self, transaction: Transaction, label: str = "") -> list[str]:
        if transaction.snapshot and transaction not in self._snapshots:
            self._snapshots.append(transaction)
        self._count += 1
        savepoint = Savepoint(f"pgh_{self._count}", transaction, label, self._settings)
        self.savepoints.append(savepoint)
        sql = [f"SAVEPOINT {savepoint.name}"]
        if transaction.read_only:
            sql.append("SET TRANSACTION READ ONLY")
        return sql

    def _apply_settings(self, transaction: Transaction) -> list[str]:
        wanted = {name: self.defaults.get(name, "") for name in self._settings} | dict(transaction.settings)
        changed = {name: value for name, value in wanted.items() if self._settings.get(name) != value}
        if not changed:
            return []
        self._settings = wanted
        calls = ", ".join(
            f"set_config({_literal(name)}, {_literal(value)}, true)" for name, value in changed.items()
        )
        return [f"SELECT {calls}"]

    def _note_write(self, transaction: Transaction) -> None:
        self.savepoints[-1].wrote = True
        for savepoint in self.savepoints:
            if savepoint.owner is not transaction:
                savepoint.others[transaction] = None
        for reader in self._snapshots:
            if reader is not transaction:
                reader.overlapped[transaction] = None

    # -- savepoints of the application ----------------------------------------------------------

    def savepoint(self, transaction: Transaction, label: str) -> list[str]:
        """``SAVEPOINT label`` of ``transaction``."""
        return self.before(transaction, _READ) + self._push(transaction, label)

    def release_to(self, transaction: Transaction, label: str) -> list[str] | None:
        """``RELEASE SAVEPOINT label``; None if there is no such savepoint."""
        target = self._find(transaction, label)
        return None if target is None else self._take_pending() + self._finish(self._of(transaction, target))

    def rollback_to(
        self, transaction: Transaction, label: str, *, where: Callable[[], str] | None = None
    ) -> list[str] | None:
        """``ROLLBACK TO SAVEPOINT label``; None if there is no such savepoint."""
        target = self._find(transaction, label)
        if target is None:
            return None
        transaction.failed = False
        return self._take_pending() + self._undo(target, keep=True, where=where)

    # -- ends ---------------------------------------------------------------------------------

    def commit(self, transaction: Transaction, *, where: Callable[[], str] | None = None) -> bool:
        """End ``transaction``, keeping its work. True if it was kept.

        A failed one is rolled back, as PostgreSQL turns COMMIT of a failed transaction into ROLLBACK.
        """
        if transaction.failed:
            self.rollback(transaction, where=where)
            return False
        self.pending += [_restore_setting(name) for name in transaction.local_settings]
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
        if self.diverged is None:
            for savepoint in self.savepoints:
                savepoint.others.pop(transaction, None)
            for reader in self._snapshots:
                reader.overlapped.pop(transaction, None)

    def _end(self, transaction: Transaction) -> None:
        transaction.ended = True
        if transaction in self._snapshots:
            self._snapshots.remove(transaction)

    def _undo(self, target: Savepoint, *, keep: bool, where: Callable[[], str] | None) -> list[str]:
        """Go back to ``target``; ``keep`` leaves it in place, as ROLLBACK TO does."""
        mine = self._of(target.owner, target)
        cut: Savepoint | None = target
        if target.others:  # spare what others did, if our own work lies wholly above it
            top = self.savepoints[-1]
            cut = next((s for s in mine if s.wrote or (self.aborted and s is top)), None)
        if cut is not None and cut.others:
            if self.diverged is None:
                origins = [other.origin for other in cut.others]
                place = where() if where else ""
                self.diverged = IsolationError.diverged(self.test, target.owner.origin, origins, place)
            cut = target
        sql = self._cut(cut, keep=keep and cut is target) if cut is not None else []
        return sql + self._finish([s for s in mine if s in self.savepoints and not (keep and s is target)])

    def _cut(self, target: Savepoint, *, keep: bool) -> list[str]:
        """ROLLBACK TO ``target`` and set again the open savepoints of others above it."""
        index = self.savepoints.index(target)
        above = [s for s in self.savepoints[index + 1 :] if s.owner is not target.owner and not s.done]
        del self.savepoints[index + (1 if keep else 0) :]
        self.aborted = False
        self._settings = target.settings
        sql = [f"ROLLBACK TO SAVEPOINT {target.name}"]
        if keep:
            target.wrote = False
            target.others.clear()
        else:
            sql.append(f"RELEASE SAVEPOINT {target.name}")
        for savepoint in above:
            savepoint.wrote = False
            savepoint.others.clear()
            savepoint.settings = self._settings
            self.savepoints.append(savepoint)
            sql.append(f"SAVEPOINT {savepoint.name}")
        return sql

    def _finish(self, finished: list[Savepoint]) -> list[str]:
        """Mark ``finished`` done and release the topmost savepoints whose owners are done with them."""
        for savepoint in finished:
            savepoint.done = True
            if savepoint.wrote and (lower := self._lower(savepoint)):
                lower.wrote = True
        count = len(self.savepoints)
        while count and self.savepoints[count - 1].done:
            count -= 1
        if count == len(self.savepoints):
            return []
        lowest = self.savepoints[count]
        del self.savepoints[count:]
        return [f"RELEASE SAVEPOINT {lowest.name}"]

    # -- helpers --------------------------------------------------------------------------------

    def _take_pending(self) -> list[str]:
        sql, self.pending = self.pending, []
        return sql

    def _of(self, transaction: Transaction, since: Savepoint | None = None) -> list[Savepoint]:
        start = self.savepoints.index(since) if since is not None else 0
        return [s for s in self.savepoints[start:] if s.owner is transaction and not s.done]

    def _lower(self, savepoint: Savepoint) -> Savepoint | None:
        """The next savepoint below ``savepoint`` that its owner still holds."""
        below = self.savepoints[: self.savepoints.index(savepoint)]
        return next((s for s in reversed(below) if s.owner is savepoint.owner and not s.done), None)

    def _find(self, transaction: Transaction, label: str) -> Savepoint | None:
        return next((s for s in reversed(self._of(transaction)) if s.label == label), None)


_READ = Statement("plain", writes=False)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _saved(name: str) -> str:
    return _literal("pgharness.saved_" + name.lower().replace(".", "_"))


def _save_setting(name: str) -> str:
    return f"SELECT set_config({_saved(name)}, current_setting({_literal(name)}, true), true)"


def _restore_setting(name: str) -> str:
    return f"SELECT set_config({_literal(name)}, current_setting({_saved(name)}, true), true)"
