"""The session of the PostgreSQL in memory of `wire_server`: its rows, its parameters, its savepoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

DEFAULTS = {
    "role": "none",
    "session_authorization": "owner",
    "timezone": "UTC",
    "work_mem": "4MB",
    "application_name": "",
    "search_path": "public",
    "transaction_read_only": "off",
}
REPORTED = {"timezone": "TimeZone", "application_name": "application_name", "search_path": "search_path"}


class SqlError(Exception):
    """An ErrorResponse, and what has been answered before it."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text
        self.before = b""


@dataclasses.dataclass
class Prepared:
    """A prepared statement: its text, and the message that has made it."""

    sql: str
    body: bytes


@dataclasses.dataclass(eq=False)
class Portal:
    """A portal or a cursor: what it runs, and what is left of its rows once it has begun."""

    sql: str
    values: list[bytes | None]
    rest: list[list[bytes | None]] | None = None
    tag: str = ""


@dataclasses.dataclass
class _Kept:
    """What a savepoint goes back to."""

    name: str
    rows: list[bytes]
    orphans: list[bytes]
    settings: dict[str, str]
    portals: set[Portal]


class Session:
    """The state of the one connection."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.orphans: list[bytes] = []
        """Rows of which a deferred constraint has still to be checked."""
        self.settings = dict(DEFAULTS)
        self.portals: set[Portal] = set()
        self.block = False
        """Whether BEGIN has begun the transaction."""
        self.failed = False
        self._kept: list[_Kept] = []
        self._reported = dict(DEFAULTS)

    @property
    def status(self) -> str:
        return "E" if self.block and self.failed else "T" if self.block else "I"

    @property
    def depth(self) -> int:
        return len(self._kept) + self.block

    @property
    def savepoints(self) -> list[str]:
        return [kept.name for kept in self._kept[1:]]

    def fail(self) -> None:
        self.failed = True

    def end_statement(self) -> None:
        """Outside of a block each statement is a transaction: here nothing is undone."""
        if not self.block:
            self.failed = False
            self.portals.clear()

    def usable(self) -> None:
        if self.block and self.failed:
            raise SqlError("25P02", "current transaction is aborted")

    def changes(self) -> Iterator[tuple[str, str]]:
        """The parameters that are to be reported."""
        for name, shown in REPORTED.items():
            if self.settings[name] != self._reported[name]:
                self._reported[name] = self.settings[name]
                yield shown, self.settings[name]

    def insert(self, row: bytes) -> None:
        if self.settings["transaction_read_only"] == "on":
            raise SqlError("25006", "cannot execute INSERT in a read-only transaction")
        if row in self.rows:
            raise SqlError("23505", f"duplicate key {row.decode()}")
        self.rows.append(row)

    # -- transactions --------------------------------------------------------------------------------

    def keep(self, name: str) -> None:
        self._kept.append(_Kept(name, self.rows[:], self.orphans[:], dict(self.settings), set(self.portals)))

    def back(self, name: str) -> None:
        at = self.find(name)
        kept = self._kept[at]
        del self._kept[at + 1 :]
        self.rows, self.orphans = kept.rows[:], kept.orphans[:]
        self.settings, self.portals = dict(kept.settings), self.portals & kept.portals
        self.failed = False

    def release(self, name: str) -> None:
        at = self.find(name)
        before = self._kept[at].settings["transaction_read_only"]
        del self._kept[at:]
        self.settings["transaction_read_only"] = before

    def find(self, name: str) -> int:
        for at in range(len(self._kept) - 1, -1, -1):
            if self._kept[at].name == name:
                return at
        self.failed = True
        raise SqlError("3B001", f'savepoint "{name}" does not exist')

    def begin(self, *, read_only: bool) -> None:
        assert not self.block, "there is already a transaction in progress"
        self.keep("")
        self.block = True
        if read_only:
            self.settings["transaction_read_only"] = "on"

    def end(self) -> None:
        assert self.block, "there is no transaction in progress"
        self.back("")
        self.block = False
        self._kept.clear()
        self.portals.clear()
