"""One transaction of a client, and the savepoints that stand for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol


class Nothing(dict[str, str]):
    """An empty mapping that can be a default."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # it never changes


NOTHING: Mapping[str, str] = Nothing()
"""No settings; nobody changes a mapping of settings, they are replaced whole."""


class Place(Protocol):
    """Where a transaction began."""

    def began(self, text: str) -> None: ...


@dataclasses.dataclass(eq=False, slots=True)
class Transaction:
    """One transaction of a client, as its connection sees it.

    Args:
        origin: Says, by ``str()``, where it began, and is told its first statement.
        explicit: It was begun by BEGIN, and not by a statement outside of one.
        read_only: It is READ ONLY.
        snapshot: ``REPEATABLE READ`` or ``SERIALIZABLE`` if it is one of these.
        settings: What its session has set; it becomes the session's at the commit.
    """

    origin: Place
    explicit: bool = False
    read_only: bool = False
    snapshot: str = ""
    settings: Mapping[str, str] = NOTHING
    local: Mapping[str, str] = NOTHING
    """What it has set for itself alone, by SET LOCAL and its like."""
    failed: bool = False
    ended: bool = False
    used: bool = False
    """Whether it has sent a statement to the server."""
    queried: bool = False
    """Whether one of its statements has taken a snapshot, after which its isolation level is fixed."""
    session: object = None
    overlapped: tuple[Transaction, ...] = ()
    """Who has written since its first statement; kept for snapshots only."""
    locks: frozenset[str] = frozenset()
    """What it has locked until its end: tables of which it has locked rows, and advisory locks."""
    tables: frozenset[str] = frozenset()
    """The tables it has changed."""
    added_value: bool = False
    """Whether it has added a value to an enum."""
    at_commit: tuple[str, ...] = ()
    """SQL that does what PostgreSQL does by itself at the end of a transaction of its own."""
    floating: tuple[str, ...] = ()
    """Labels of the savepoints that a READ ONLY transaction has given up, lowest first."""

    @property
    def place(self) -> str:
        return str(self.origin)

    @property
    def effective(self) -> Mapping[str, str]:
        """The settings that hold for its next statement."""
        return {**self.settings, **self.local} if self.local else self.settings


@dataclasses.dataclass(eq=False, slots=True)
class Savepoint:
    """A savepoint on the server: whose it is and what it holds.

    ``label`` is the name the application gave it; empty for one of the harness's own.
    ``settings`` are those in force on the server when it was set, to which ROLLBACK TO returns; ``kept``
    are its owner's at that time.
    ``writers`` have written since it was set and before the next one was, or in one released into it.
    ``done`` means that its owner has ended: the release is postponed, or it waits for another owner.
    """

    name: str
    owner: Transaction
    label: str
    settings: Mapping[str, str]
    kept: tuple[Mapping[str, str], Mapping[str, str]]
    writers: dict[Transaction, None] = dataclasses.field(default_factory=dict)
    done: bool = False

    @property
    def commands(self) -> list[str]:
        """What sets it, and READ ONLY with it, which ends with it."""
        command = f"SAVEPOINT {self.name}"
        return [command, "SET TRANSACTION READ ONLY"] if self.owner.read_only else [command]

    @property
    def is_spare(self) -> bool:
        """Whether it may serve the next transaction: its owner has ended, and nobody has written in it."""
        return self.done and not self.writers and not self.owner.read_only

    def mixed(self) -> bool:
        """Whether it holds what others have written, who have committed since."""
        return any(writer is not self.owner for writer in self.writers)
