"""PostgreSQL's savepoints, in memory, and what separate connections would have come to.

`Server` runs the SQL that the stack of savepoints emits, over a set of keys instead of tables, and is as
strict as PostgreSQL: a savepoint that does not exist, a command in a failed transaction, a write in a
READ ONLY one are errors. `Joined` drives it as the proxy does for one client. `Separate` is the truth
that both are held against: a transaction with savepoints of its own for each connection.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pgharness.proxy.core.refusals import Refused
from pgharness.proxy.core.stack import Stack
from pgharness.proxy.core.transaction import Transaction

DEFAULTS = {"work_mem": "4MB", "lock_timeout": "10s"}
_SET_CONFIG = re.compile(r"set_config\('([^']*)', '([^']*)', true\)")
_COMMAND = re.compile(r"(SAVEPOINT|RELEASE SAVEPOINT|ROLLBACK TO SAVEPOINT) (\w+)")


class ServerError(Exception):
    """What the server answers instead of a result."""


@dataclasses.dataclass(slots=True)
class State:
    """What a savepoint remembers."""

    keys: frozenset[int] = frozenset()
    settings: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(DEFAULTS))
    read_only: bool = False


class Server:
    """One connection to PostgreSQL, in a transaction, as far as savepoints go."""

    def __init__(self) -> None:
        self.now = State()
        self.savepoints: list[tuple[str, State]] = []
        self.aborted = False

    def execute(self, commands: Iterable[str]) -> None:
        """Run SQL of the harness's own.

        Raises:
            AssertionError: A command is refused, which it never may be.
        """
        for command in commands:
            if self.aborted and not command.startswith("ROLLBACK TO "):
                raise AssertionError(f"current transaction is aborted, {command} ignored")
            if found := _COMMAND.fullmatch(command):
                self._control(*found.groups())
            elif command == "SET TRANSACTION READ ONLY":
                self.now = dataclasses.replace(self.now, read_only=True)
            elif command.startswith("SELECT pg_catalog.set_config("):
                for name, value in _SET_CONFIG.findall(command):
                    self._set(name, value)
            else:
                raise AssertionError(f"syntax error at {command!r}")

    def _control(self, verb: str, name: str) -> None:
        if verb == "SAVEPOINT":
            self.savepoints.append((name, self.now))
            return
        names = [saved for saved, _ in self.savepoints]
        if name not in names:
            raise AssertionError(f'savepoint "{name}" does not exist')
        index = len(names) - 1 - names[::-1].index(name)
        state = self.savepoints[index][1]
        if verb == "ROLLBACK TO SAVEPOINT":
            del self.savepoints[index + 1 :]
            self.now = state
            self.aborted = False
        else:  # what was written and set stays, READ ONLY was the savepoint's
            del self.savepoints[index:]
            self.now = dataclasses.replace(self.now, read_only=state.read_only)

    def setting(self, name: str) -> str:
        return self.now.settings[name]

    def _set(self, name: str, value: str) -> None:
        if name in DEFAULTS and not value:
            raise AssertionError(f'invalid value for parameter "{name}": "{value}"')
        self.now = dataclasses.replace(self.now, settings={**self.now.settings, name: value})

    def insert(self, key: int) -> None:
        self.check()
        if self.now.read_only:
            self.aborted = True
            raise ServerError("cannot execute INSERT in a read-only transaction")
        self.now = dataclasses.replace(self.now, keys=self.now.keys | {key})

    def set(self, name: str, value: str) -> None:
        self.check()
        self._set(name, value)

    def fail(self) -> None:
        self.check()
        self.aborted = True
        raise ServerError("division by zero")

    def check(self) -> None:
        if self.aborted:
            raise AssertionError("a statement was sent into a failed transaction")


class Place:
    """Where a transaction began."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return self._name

    def began(self, text: str) -> None: ...


class Joined:
    """A client of the shared connection: it calls the stack as the proxy does."""

    def __init__(self, name: str, server: Server, stack: Stack, settings: Mapping[str, str]) -> None:
        self.name = name
        self.server = server
        self.stack = stack
        self.settings = settings
        self.transaction: Transaction | None = None

    def begin(self, *, read_only: bool, snapshot: str) -> None:
        self.transaction = Transaction(
            Place(self.name), read_only=read_only, snapshot=snapshot, settings=self.settings
        )

    def run(
        self,
        call: Callable[[Server], None],
        *,
        writes: bool = False,
        sets: Mapping[str, str] | None = None,
        local: bool = True,
    ) -> None:
        """A plain statement, which may set parameters.

        Raises:
            ServerError: The statement failed, as it would have on a connection of its own.
            Refused: It is not sent.
        """
        transaction = self._running()
        self.server.execute(self.stack.before(transaction, writes=writes or sets is not None))
        try:
            call(self.server)
        except ServerError:
            self.stack.failed(transaction)
            raise
        if sets is not None:
            self.stack.changed(transaction, sets, local=local)

    def control(self, verb: str, label: str) -> None:
        """SAVEPOINT, RELEASE or ROLLBACK TO of the application."""
        transaction = self._running(failed=verb == "back")
        if verb == "save":
            self.server.execute(self.stack.savepoint(transaction, label))
            return
        found = (self.stack.rollback_to if verb == "back" else self.stack.release_to)(transaction, label)
        if not found:
            self.stack.failed(transaction, on_server=False)
            raise ServerError(f'savepoint "{label}" does not exist')

    def end(self, *, commit: bool) -> None:
        transaction, self.transaction = self.transaction, None
        assert transaction is not None
        if not commit:
            self.stack.rollback(transaction)
        elif self.stack.commit(transaction):
            self.settings = transaction.settings

    def _running(self, *, failed: bool = False) -> Transaction:
        assert self.transaction is not None
        if self.transaction.failed and not failed:
            raise ServerError("current transaction is aborted")
        return self.transaction


@dataclasses.dataclass(slots=True)
class Level:
    """One savepoint of a `Separate` transaction: what has been written and set since."""

    label: str
    keys: list[int] = dataclasses.field(default_factory=list)
    settings: dict[str, str] = dataclasses.field(default_factory=dict)
    local: dict[str, str] = dataclasses.field(default_factory=dict)


class Separate:
    """A connection of its own, and the keys that all of them have committed."""

    def __init__(self, committed: set[int], settings: Mapping[str, str]) -> None:
        self.committed = committed
        self.settings = dict(settings)
        self.levels: list[Level] = []
        self.read_only = False
        self.failed = False

    @property
    def keys(self) -> set[int]:
        """What the open transaction has written."""
        return {key for level in self.levels for key in level.keys}

    @property
    def doomed(self) -> list[int]:
        """What a failed transaction can only undo: all, or what it has written since its last savepoint."""
        return list(self.levels[-1].keys) if len(self.levels) > 1 else sorted(self.keys)

    def setting(self, name: str) -> str:
        found = {**DEFAULTS, **self.settings}
        for level in self.levels:
            found.update(level.settings)
            found.update(level.local)
        return found[name]

    def set(self, name: str, value: str, *, local: bool) -> None:
        level = self.levels[-1]
        if local:
            level.local[name] = value
            return
        level.settings[name] = value
        for each in self.levels:  # what the session sets ends what was set for the transaction alone
            each.local.pop(name, None)

    def begin(self, *, read_only: bool) -> None:
        self.levels, self.read_only, self.failed = [Level("")], read_only, False

    def insert(self, key: int) -> bool:
        """Whether the server takes the key."""
        if self.failed or self.read_only:
            self.failed = True
            return False
        self.levels[-1].keys.append(key)
        return True

    def control(self, verb: str, label: str) -> tuple[bool, list[int]]:
        """Whether the server obeys, and the keys that are undone by it."""
        if self.failed and verb != "back":
            return False, []
        if verb == "save":
            self.levels.append(Level(label))
            return True, []
        found = [n for n, level in enumerate(self.levels) if n and level.label == label]
        if not found:
            self.failed = True
            return False, []
        above = self.levels[found[-1] :]
        del self.levels[found[-1] :]
        if verb == "back":
            self.failed = False
            self.levels.append(Level(label))
            return True, [key for level in above for key in level.keys]
        for level in above:
            self.levels[-1].keys += level.keys
            self.levels[-1].settings.update(level.settings)
            self.levels[-1].local.update(level.local)
        return True, []

    def end(self, *, commit: bool) -> list[int]:
        """The keys that are undone."""
        keys = sorted(self.keys)
        kept = commit and not self.failed
        if kept:
            self.committed.update(keys)
            for level in self.levels:
                self.settings.update(level.settings)
        self.levels, self.failed = [], False
        return [] if kept else keys


def transaction(name: str, **options: Any) -> Transaction:
    return Transaction(Place(f"{name}.py:1 in {name}"), **options)


__all__ = ["Joined", "Refused", "Separate", "Server", "ServerError", "transaction"]
