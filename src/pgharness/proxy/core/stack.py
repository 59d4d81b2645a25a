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
* A savepoint in which nobody has written serves the next transaction as well.
* A statement that fails undoes its transaction at once: all of it, or back to the last savepoint
  that the application has set. So what others do until it is ended is not above it.
* A rollback goes back to the transaction's first savepoint, or to the first in which it wrote.
  Savepoints of others above it that hold no writes are made again. If others *have* written above,
  no SQL can undo one and keep the other: the rollback is done, the transactions have *diverged*, and
  the next statement of anybody in this test is refused. Nothing is read after that.
* READ ONLY would hold for whatever lies above, so such a transaction floats: it gives its
  savepoints up when another comes, and sets them again, on top, for its next statement.

The SQL is returned as a list to be sent in one packet with the client's next statement; ends of
transactions wait in `Stack.pending` until then, for nothing can observe them earlier.
"""

from __future__ import annotations

from collections.abc import Mapping

from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.settings import switch
from pgharness.proxy.core.transaction import NOTHING, Savepoint, Transaction
from pgharness.proxy.core.writers import others


class Stack:
    """The savepoints of one physical transaction, lowest first.

    Args:
        defaults: The server's values of the parameters that clients set; shared, may grow.
    """

    def __init__(self, defaults: Mapping[str, str] | None = None) -> None:
        self.defaults: Mapping[str, str] = defaults if defaults is not None else {}
        self.savepoints: list[Savepoint] = []
        self.pending: list[str] = []
        self.diverged: Refused | None = None
        self.written = 0
        """How many statements have been sent that may write."""
        self.aborted = False
        """Whether the server is in a failed transaction until what is pending has been sent."""
        self.settings: Mapping[str, str] = NOTHING
        """What is set on the server, as it will be after what is pending."""
        self._snapshots: list[Transaction] = []
        self._count = 0

    def before(self, transaction: Transaction, *, writes: bool) -> list[str]:
        """The SQL to send before a plain statement of ``transaction``.

        Raises:
            Refused: The statement would see something that separate connections would not show.
        """
        if self.diverged is not None:
            raise self.diverged
        if transaction.snapshot and transaction.overlapped:
            writers = [other.place for other in transaction.overlapped]
            raise Refused("stale_snapshot", transaction.place, transaction.snapshot, writers)
        top = self.savepoints[-1] if self.savepoints else None
        room: list[str] = []
        if top is None or top.owner is not transaction or top.mixed():
            if top is not None and top.is_spare and not transaction.read_only:
                self._adopt(top, transaction)
            else:
                if top is not None and top.owner is not transaction:
                    room = self._make_room(top)
                room += self._push(transaction)
        sql = self.take_pending() + room
        transaction.used = True
        wanted = transaction.effective
        if wanted != self.settings:
            sql += switch(self.settings, wanted, self.defaults)
            self.settings = self._filled(wanted)
        if writes:
            self.written += 1
            self.savepoints[-1].writers[transaction] = None
            for reader in self._snapshots:
                if reader is not transaction:
                    reader.overlapped = (*(o for o in reader.overlapped if o is not transaction), transaction)
        return sql

    def _filled(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        """All that is known of the server's settings once it has those ``wanted``."""
        return {**{name: self.defaults.get(name, "") for name in self.settings}, **wanted}

    def changed(self, transaction: Transaction, values: Mapping[str, str], *, local: bool) -> None:
        """The last statement of ``transaction`` has set parameters, for itself or for its session."""
        if local:
            transaction.local = {**transaction.local, **values}
        else:
            transaction.settings = {**transaction.settings, **values}
            if any(name in transaction.local for name in values):
                transaction.local = {n: v for n, v in transaction.local.items() if n not in values}
        self.settings = {**self.settings, **values}

    def failed(self, transaction: Transaction, *, on_server: bool = True) -> None:
        """A statement of ``transaction`` failed: what it can only undo is undone at once.

        ``on_server`` says that the server has seen it; what its savepoint holds is lost then.
        """
        if transaction.failed and not on_server:
            return
        transaction.failed = True
        if on_server and self.savepoints:
            self.aborted = True
            self.savepoints[-1].writers.clear()
        mine = self._of(transaction)
        if not mine:
            return
        labelled = [savepoint for savepoint in mine if savepoint.label]
        if labelled:
            self.pending += self._undo(labelled[-1], keep=True)
        else:
            self.pending += self._undo(mine[0], keep=False)

    def _adopt(self, top: Savepoint, newcomer: Transaction) -> None:
        """Give ``newcomer`` the savepoint of one that has ended without a change."""
        if newcomer.snapshot:
            self._snapshots.append(newcomer)
        top.owner, top.done, top.label = newcomer, False, ""
        top.kept = (newcomer.settings, newcomer.local)

    def _make_room(self, top: Savepoint) -> list[str]:
        """What must happen before another transaction may set a savepoint above ``top``."""
        if not top.owner.read_only:
            return []
        mine = self._of(top.owner)
        top.owner.floating = tuple(savepoint.label for savepoint in mine if savepoint.label)
        return self._finish(mine)

    def _push(self, transaction: Transaction, label: str = "") -> list[str]:
        if transaction.snapshot and transaction not in self._snapshots:
            self._snapshots.append(transaction)
        self._count += 1
        kept = (transaction.settings, transaction.local)
        made = Savepoint(f"pgh_{self._count}", transaction, label, self.settings, kept)
        self.savepoints.append(made)
        sql = made.commands
        floating, transaction.floating = transaction.floating, ()
        for given_up in floating:
            sql += self._push(transaction, given_up)
        return sql

    def savepoint(self, transaction: Transaction, label: str) -> list[str]:
        """``SAVEPOINT label`` of ``transaction``."""
        return self.before(transaction, writes=False) + self._push(transaction, label)

    def release_to(self, transaction: Transaction, label: str) -> bool:
        """``RELEASE SAVEPOINT label``; False if there is no such savepoint."""
        if (target := self._find(transaction, label)) is None:
            return False
        released = self._of(transaction, target)
        for savepoint in released:
            savepoint.label = ""
        count = len(self.savepoints)
        while self.savepoints[count - 1] in released:
            below = self.savepoints[count - 2] if count > 1 else None
            if below is None or below.owner is not transaction or below.mixed():
                break
            count -= 1
        self.pending += self._release(count)
        return True

    def rollback_to(self, transaction: Transaction, label: str) -> bool:
        """``ROLLBACK TO SAVEPOINT label``; False if there is no such savepoint."""
        if (target := self._find(transaction, label)) is None:
            return False
        transaction.failed = False
        for savepoint in self._of(transaction, target)[1:]:
            savepoint.label = ""
        self.pending += self._undo(target, keep=True)
        transaction.settings, transaction.local = target.kept
        return True

    def commit(self, transaction: Transaction) -> bool:
        """End ``transaction``, keeping its work. True if it was kept.

        A failed one is rolled back, as PostgreSQL turns COMMIT of a failed transaction into ROLLBACK.
        """
        if transaction.failed:
            self.rollback(transaction)
            return False
        if transaction.at_commit and self._of(transaction):
            self.pending = [*self.before(transaction, writes=False), *transaction.at_commit]
            self.savepoints[-1].writers[transaction] = None
        self._end(transaction)
        self.pending += self._finish(self._of(transaction))
        return True

    def rollback(self, transaction: Transaction) -> None:
        """End ``transaction``, undoing its work."""
        self._end(transaction)
        mine = self._of(transaction)
        if mine:
            self.pending += self._undo(mine[0], keep=False)
        for reader in self._snapshots:
            reader.overlapped = tuple(other for other in reader.overlapped if other is not transaction)

    def _end(self, transaction: Transaction) -> None:
        transaction.ended = True
        if transaction in self._snapshots:
            self._snapshots.remove(transaction)

    def _undo(self, target: Savepoint, *, keep: bool) -> list[str]:
        """Go back to ``target``; ``keep`` leaves it in place, as ROLLBACK TO does."""
        owner, above = target.owner, self.savepoints[self.savepoints.index(target) :]
        cut: Savepoint | None = target
        if others(owner, above):
            failed = above[-1] if self.aborted and above[-1].owner is owner else None
            cut = next((savepoint for savepoint in above if owner in savepoint.writers), failed)
        if cut is not None and (lost := others(owner, above[above.index(cut) :])):
            if self.diverged is None:
                self.diverged = Refused("diverged", owner.place, lost, "")
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
        self.aborted = False
        self.settings = target.settings
        again = [s for s in undone if s.owner is not target.owner and not s.done]
        sql = [f"ROLLBACK TO SAVEPOINT {target.name}"]
        if keep or not again:  # nothing has been written since: it serves whoever comes next
            self.savepoints.append(target)
            target.done = target.done or not keep
            target.label = target.label if keep else ""
        else:
            sql.append(f"RELEASE SAVEPOINT {target.name}")
        for savepoint in again:
            savepoint.settings = self.settings
            self.savepoints.append(savepoint)
            sql += savepoint.commands
        return sql

    def _finish(self, finished: list[Savepoint]) -> list[str]:
        """Mark ``finished`` done and release the topmost savepoints whose owners are done with them.

        The lowest of them stays for the next transaction if nobody has written above it.
        """
        for savepoint in finished:
            savepoint.done = True
            savepoint.label = ""
        count = len(self.savepoints)
        while count and self.savepoints[count - 1].done:
            count -= 1
        released = self.savepoints[count:]
        if released and not released[0].owner.read_only and not any(s.writers for s in released):
            count += 1
        return self._release(count)

    def _release(self, count: int) -> list[str]:
        """Release all savepoints but the lowest ``count``; the topmost of those takes what they hold."""
        released = self.savepoints[count:]
        del self.savepoints[count:]
        if self.savepoints:
            for savepoint in released:
                self.savepoints[-1].writers.update(savepoint.writers)
        return [f"RELEASE SAVEPOINT {released[0].name}"] if released else []

    def take_pending(self) -> list[str]:
        """The SQL that waits for the next statement; it is the caller's to send."""
        sql, self.pending = self.pending, []
        return sql

    def _of(self, transaction: Transaction, since: Savepoint | None = None) -> list[Savepoint]:
        start = self.savepoints.index(since) if since is not None else 0
        return [s for s in self.savepoints[start:] if s.owner is transaction and not s.done]

    def _find(self, transaction: Transaction, label: str) -> Savepoint | None:
        if transaction.floating:
            self.pending = self.before(transaction, writes=False)
        return next((s for s in reversed(self._of(transaction)) if s.label == label), None)

    def has_labels(self, transaction: Transaction) -> bool:
        """Whether ``transaction`` is inside a savepoint of its own making."""
        return bool(transaction.floating) or any(s.label for s in self._of(transaction))
