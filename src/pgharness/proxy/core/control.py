"""What a client says about its transaction, which the server is not told as it stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pgharness.proxy.core import wire, writers
from pgharness.proxy.core.client import Client
from pgharness.proxy.core.effects import DEFERRABLE, ISOLATION, UNSET
from pgharness.proxy.core.failures import Failure
from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.sessions import Sessions
from pgharness.proxy.core.statements import Statement
from pgharness.proxy.core.transaction import Transaction

if TYPE_CHECKING:
    from pgharness.proxy.core.shared import Shared

NOW = "pgharness.now"
"""The run-time parameter that ``now()`` reads where the database follows the tests' clock."""
_SNAPSHOTS = ("REPEATABLE READ", "SERIALIZABLE")
_IN_FAILED = ("commit", "rollback", "rollback to")
"""What PostgreSQL still carries out in a failed transaction."""
_TRUE = ("on", "true", "yes", "1")
_TWO_PHASE = ("prepare transaction", "commit prepared", "rollback prepared")


class Control:
    """Answers statements that control transactions, and hands on those about sessions."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.sessions = Sessions(shared)
        self._runs: dict[str, Callable[[Client, Statement], None]] = {
            "begin": self._begin,
            "commit": self._commit,
            "rollback": self._rollback,
            "savepoint": self._savepoint,
            "release": self._release,
            "rollback to": self._rollback_to,
            "set transaction": self._set_transaction,
            **dict.fromkeys(_TWO_PHASE, self._two_phase),
            **self.sessions.runs,
        }

    def takes(self, client: Client, statement: Statement) -> bool:
        """Whether a simple query that is ``statement`` alone is answered without the server."""
        if statement.kind in ALWAYS:
            return True
        if statement.kind == "close" and statement.everything:
            return True
        return statement.unlock_all and not any(
            taker.session is client for taker in self._shared.scope.session_locks
        )

    def run(self, client: Client, statement: Statement) -> None:
        """Answer ``statement`` of ``client``.

        Raises:
            Failure: PostgreSQL would refuse it.
            Refused: One transaction cannot do it.
        """
        if client.lost:
            if statement.kind not in ("commit", "rollback", "discard", "deallocate"):
                raise Refused("transaction_of_earlier_test", str(client.origin()), client.lost)
            client.lost = ""
            if statement.kind in ("commit", "rollback"):
                client.out += wire.complete("ROLLBACK")
                return
        if client.failed and statement.kind not in _IN_FAILED:
            raise Failure.aborted()
        if statement.unlock_all:
            client.out += wire.row_description([("pg_advisory_unlock_all", wire.VOID, 4)])
            client.out += wire.row([b""]) + wire.complete("SELECT 1")
        elif statement.kind == "close":
            self.sessions.close(b"P", client.cursors.values())
            client.cursors.clear()
            client.out += wire.complete("CLOSE CURSOR ALL")
        else:
            self._runs[statement.kind](client, statement)

    # -- transactions -----------------------------------------------------------------------------

    def new_transaction(self, client: Client, *, explicit: bool = False) -> Transaction:
        """A transaction of ``client`` with the characteristics that its session gives it."""
        settings = client.settings
        level = settings.get("default_transaction_isolation", "").upper()
        read_only = settings.get("default_transaction_read_only", "off").lower() in _TRUE
        made = Transaction(
            client.origin(), explicit=explicit, read_only=read_only, settings=settings, session=client
        )
        self._isolate(made, level)
        if settings.get("default_transaction_deferrable", "off").lower() in _TRUE:
            made.local = {**made.local, DEFERRABLE: "on"}
        if self._shared.facts.clock and self._shared.scope.id:
            made.local = {**made.local, NOW: self._shared.now()}
        return made

    def _isolate(self, transaction: Transaction, level: str) -> None:
        transaction.snapshot = level if level in _SNAPSHOTS else ""
        if level and (level != "READ COMMITTED" or ISOLATION in transaction.local):
            transaction.local = {**transaction.local, ISOLATION: level.lower()}

    def _characterize(self, transaction: Transaction, statement: Statement) -> None:
        if statement.isolation:
            differs = statement.isolation.lower() != transaction.local.get(ISOLATION, UNSET[ISOLATION])
            if differs and transaction.queried:
                raise Failure("25001", "SET TRANSACTION ISOLATION LEVEL must be called before any query")
            if differs and self._shared.scope.stack.has_labels(transaction):
                raise Failure(
                    "25001", "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction"
                )
            self._isolate(transaction, statement.isolation)
        if statement.deferrable is not None:
            value = "on" if statement.deferrable else "off"
            transaction.local = {**transaction.local, DEFERRABLE: value}
        if statement.read_only not in (None, transaction.read_only):
            self._set_mode(transaction, read_only=not transaction.read_only)

    def _set_mode(self, transaction: Transaction, *, read_only: bool) -> None:
        stack = self._shared.scope.stack
        if transaction.read_only and stack.has_labels(transaction):
            text = "cannot set transaction read-write mode inside a read-only transaction"
            raise Failure("25001", text)
        if transaction.read_only and transaction.queried:
            raise Failure("25001", "transaction read-write mode must be set before any query")
        if writers.wrote(stack.savepoints, transaction):
            raise Refused("session_state", "READ ONLY after it has written", transaction.place)
        if transaction.used and not read_only:
            raise Refused("session_state", "READ WRITE after READ ONLY", transaction.place)
        if transaction.used:
            stack.pending = [*stack.before(transaction, writes=False), "SET TRANSACTION READ ONLY"]
        transaction.read_only = read_only

    def _begin(self, client: Client, statement: Statement) -> None:
        tag = "START TRANSACTION" if statement.verb == "start" else "BEGIN"
        if client.explicit:
            client.out += wire.notice("25001", "there is already a transaction in progress")
        elif client.transaction is None:
            client.transaction = self.new_transaction(client, explicit=True)
        assert client.transaction is not None  # noqa: S101 - it has been begun now
        client.transaction.explicit = True
        self._characterize(client.transaction, statement)
        client.out += wire.complete(tag)

    def _commit(self, client: Client, statement: Statement) -> None:
        if not self._in_block(client, statement, "COMMIT"):
            return
        transaction = client.transaction

        def answer(kept: bool) -> None:
            client.out += wire.complete("COMMIT" if kept else "ROLLBACK")

        self._shared.commits.end(client, lambda: self._chain(client, statement, transaction), answer)

    def _rollback(self, client: Client, statement: Statement) -> None:
        if not self._in_block(client, statement, "ROLLBACK"):
            return
        transaction = client.transaction
        self._shared.commits.forget(client, kept=False)
        client.out += wire.complete("ROLLBACK")
        self._chain(client, statement, transaction)

    def _in_block(self, client: Client, statement: Statement, tag: str) -> bool:
        """Whether there is a transaction to end; says so as PostgreSQL does if there is none."""
        if client.explicit:
            return True
        if statement.chain:
            raise Failure.no_block(f"{tag} AND CHAIN")
        client.out += wire.notice("25P01", "there is no transaction in progress")
        if client.transaction is not None:  # what precedes it in a script, or in a pipeline
            return True
        client.out += wire.complete(tag)
        return False

    def _chain(self, client: Client, statement: Statement, ended: Transaction | None) -> None:
        if statement.chain and ended is not None:
            made = self.new_transaction(client, explicit=True)
            made.read_only = ended.read_only
            self._isolate(made, ended.snapshot or "READ COMMITTED")
            client.transaction = made

    def _savepoint(self, client: Client, statement: Statement) -> None:
        transaction = self._block(client, "SAVEPOINT")
        stack = self._shared.scope.stack
        stack.pending = stack.savepoint(transaction, statement.name)
        client.out += wire.complete("SAVEPOINT")

    def _release(self, client: Client, statement: Statement) -> None:
        transaction = self._block(client, "RELEASE SAVEPOINT")
        if not self._shared.scope.stack.release_to(transaction, statement.name):
            raise Failure.no_savepoint(statement.name)
        client.out += wire.complete("RELEASE")

    def _rollback_to(self, client: Client, statement: Statement) -> None:
        transaction = self._block(client, "ROLLBACK TO SAVEPOINT")
        if not self._shared.scope.stack.rollback_to(transaction, statement.name):
            raise Failure.no_savepoint(statement.name)
        client.out += wire.complete("ROLLBACK")

    def _block(self, client: Client, command: str) -> Transaction:
        if not client.explicit or client.transaction is None:
            raise Failure.no_block(command)
        return client.transaction

    def _set_transaction(self, client: Client, statement: Statement) -> None:
        if statement.snapshot:
            raise Refused("session_state", "the snapshot of another transaction", str(client.origin()))
        if not client.explicit or client.transaction is None:
            if not statement.name:
                client.out += wire.notice("25P01", "SET TRANSACTION can only be used in transaction blocks")
        else:
            self._characterize(client.transaction, statement)
        client.out += wire.complete("SET")

    def _two_phase(self, client: Client, statement: Statement) -> None:
        raise Refused("two_phase", statement.text, str(client.origin()))


ALWAYS = frozenset(
    (
        *("begin", "commit", "rollback", "savepoint", "release", "rollback to", "set transaction"),
        *(
            "set characteristics",
            "listen",
            "unlisten",
            "notify",
            "discard",
            "deallocate",
            "reset",
            "reset all",
        ),
        *_TWO_PHASE,
    )
)
"""The kinds of statement that the server is never sent."""
