"""PostgreSQL's savepoints, in memory, and what separate connections would have come to.

`Server` runs the SQL that the stack of savepoints emits, over a set of keys instead of tables, and is as
strict as PostgreSQL: a savepoint that does not exist, a command in a failed transaction, a write in a
READ ONLY one are errors. `Connection` drives it as the links drive a driver. `Separate` is the truth that
both are held against: a transaction with savepoints of its own for each connection.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

from pgharness.isolation.link import LinkState
from pgharness.isolation.statements import Statement, classify
from pgharness.isolation.target import Target
from pgharness.isolation.transaction import Transaction

READ = Statement("plain", writes=False)
WRITE = Statement("plain", writes=True)
DEFAULTS = {"work_mem": "4MB", "lock_timeout": "10s"}
_SET_CONFIG = re.compile(r"set_config\('([^']*)', (?:'([^']*)'|current_setting\('([^']*)', true\)), true\)")
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
    """One connection to PostgreSQL, as far as savepoints go."""

    def __init__(self) -> None:
        self.now = State()
        self.savepoints: list[tuple[str, State]] = []
        self.begun = False
        self.aborted = False
        self._placeholders: set[str] = set()

    def execute(self, batch: str) -> None:
        """Run a simple query of one or more commands.

        Raises:
            ServerError: One of them is refused; the transaction has failed.
        """
        for command in batch.split("; "):
            try:
                self._run(command)
            except ServerError:
                self.aborted = True
                raise

    def _run(self, command: str) -> None:
        if command == "BEGIN":
            if self.begun:
                raise ServerError("there is already a transaction in progress")
            self.begun = True
        elif not self.begun:
            raise ServerError(f"{command} can only be used in transaction blocks")
        elif self.aborted and not command.startswith("ROLLBACK TO "):
            raise ServerError(f"current transaction is aborted, {command} ignored")
        elif found := _COMMAND.fullmatch(command):
            self._control(*found.groups())
        elif command == "SET TRANSACTION READ ONLY":
            self.now = dataclasses.replace(self.now, read_only=True)
        elif command.startswith("SELECT set_config("):
            for name, value, source in _SET_CONFIG.findall(command):
                self._set(name, self.setting(source) if source else value)
        else:
            raise ServerError(f"syntax error at {command!r}")

    def _control(self, verb: str, name: str) -> None:
        if verb == "SAVEPOINT":
            self.savepoints.append((name, self.now))
            return
        names = [saved for saved, _ in self.savepoints]
        if name not in names:
            raise ServerError(f'savepoint "{name}" does not exist')
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
        """As current_setting(name, true); a setting that was rolled back is empty."""
        return self.now.settings.get(name, "")

    def _set(self, name: str, value: str) -> None:
        if name in DEFAULTS and not value:
            raise ServerError(f'invalid value for parameter "{name}": "{value}"')
        self.now = dataclasses.replace(self.now, settings={**self.now.settings, name: value})

    def insert(self, key: int) -> None:
        self.check()
        if self.now.read_only:
            self.aborted = True
            raise ServerError("cannot execute INSERT in a read-only transaction")
        self.now = dataclasses.replace(self.now, keys=self.now.keys | {key})

    def set_local(self, name: str, value: str) -> None:
        self.check()
        self._set(name, value)

    def fail(self) -> None:
        self.check()
        self.aborted = True
        raise ServerError("division by zero")

    def check(self) -> None:
        if self.aborted or not self.begun:
            raise AssertionError("a statement was sent into a failed transaction, or outside one")


class Connection:
    """A virtual connection: its calls of `LinkState` are those of the drivers' links."""

    def __init__(self, name: str, server: Server, state: LinkState, settings: Mapping[str, str]) -> None:
        self.name = name
        self.server = server
        self.state = state
        self.settings = settings
        self.transaction: Transaction | None = None

    def begin(self, *, read_only: bool, snapshot: str) -> None:
        self.transaction = Transaction(
            self.name, read_only=read_only, snapshot=snapshot, settings=self.settings
        )

    def run(self, statement: Statement, call: Callable[[Server], None], setting: str = "") -> None:
        """A plain statement.

        Raises:
            ServerError: The statement failed, as it would have on a connection of its own.
        """
        transaction = self._running()
        self._send(self.state.before(transaction, statement, setting))
        try:
            call(self.server)
        except ServerError:
            self.state.failed(transaction)
            raise

    def control(self, text: str) -> None:
        """SAVEPOINT, RELEASE or ROLLBACK TO of the application."""
        statement = classify(text)
        transaction = self._running(failed=statement.kind == "rollback to")
        sql = self.state.control(transaction, statement)
        if sql is None:
            raise ServerError(f'savepoint "{statement.name}" does not exist')
        self._send(sql)

    def end(self, *, commit: bool) -> None:
        transaction, self.transaction = self.transaction, None
        assert transaction is not None
        if commit:
            self.state.commit(transaction)
        else:
            self.state.rollback(transaction)

    def _running(self, *, failed: bool = False) -> Transaction:
        assert self.transaction is not None
        if self.transaction.failed and not failed:
            raise ServerError("current transaction is aborted")
        return self.transaction

    def _send(self, sql: str) -> None:
        if sql:
            try:
                self.server.execute(sql)
            except ServerError as error:
                raise AssertionError(f"the harness's own SQL was refused: {sql}") from error


def link_state(test: str = "test_x") -> LinkState:
    """The bookkeeping of a link that connects to nothing."""
    target = Target(host="", port=0, user="", password="", database="", lock_timeout=1.0)
    state = LinkState(target)
    state.defaults.update(DEFAULTS)
    state.stack.test = test
    return state


@dataclasses.dataclass(slots=True)
class Level:
    """One savepoint of a `Separate` transaction: what has been written and set since."""

    label: str
    keys: list[int] = dataclasses.field(default_factory=list)
    settings: dict[str, str] = dataclasses.field(default_factory=dict)


class Separate:
    """A connection of its own, and the keys that all of them have committed."""

    def __init__(self, committed: set[int], settings: Mapping[str, str]) -> None:
        self.committed = committed
        self.settings = settings
        self.levels: list[Level] = []
        self.read_only = False
        self.failed = False

    @property
    def keys(self) -> set[int]:
        """What the open transaction has written."""
        return {key for level in self.levels for key in level.keys}

    def setting(self, name: str) -> str:
        found = {**DEFAULTS, **self.settings}
        for level in self.levels:
            found.update(level.settings)
        return found[name]

    @property
    def sets_locally(self) -> bool:
        return any(level.settings for level in self.levels)

    def begin(self, *, read_only: bool) -> None:
        self.levels, self.read_only, self.failed = [Level("")], read_only, False

    def insert(self, key: int) -> bool:
        """Whether the server takes the key."""
        if self.failed or self.read_only:
            self.failed = True
            return False
        self.levels[-1].keys.append(key)
        return True

    def control(self, text: str) -> tuple[bool, list[int]]:
        """Whether the server obeys, and the keys that are undone by it."""
        statement = classify(text)
        if self.failed and statement.kind != "rollback to":
            return False, []
        if statement.kind == "savepoint":
            self.levels.append(Level(statement.name))
            return True, []
        found = [n for n, level in enumerate(self.levels) if n and level.label == statement.name]
        if not found:
            self.failed = True
            return False, []
        above = self.levels[found[-1] :]
        del self.levels[found[-1] :]
        if statement.kind == "rollback to":
            self.failed = False
            self.levels.append(Level(statement.name))
            return True, [key for level in above for key in level.keys]
        for level in above:
            self.levels[-1].keys += level.keys
            self.levels[-1].settings.update(level.settings)
        return True, []

    def end(self, *, commit: bool) -> list[int]:
        """The keys that are undone."""
        keys = sorted(self.keys)
        kept = commit and not self.failed
        self.levels, self.failed = [], False
        if kept:
            self.committed.update(keys)
        return [] if kept else keys


def transaction(name: str, **options: Any) -> Transaction:
    return Transaction(f"{name}.py:1 in {name}", **options)
