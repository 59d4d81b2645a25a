"""One transaction of the application or the test: what its connection knows of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


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
    session: object = None
    """Its connection's; two transactions of one connection have the same."""
    locks: set[str] = dataclasses.field(default_factory=set)
    """What it has locked until its end: tables of which it has locked rows, and advisory locks."""
    tables: set[str] = dataclasses.field(default_factory=set)
    """The tables it has changed."""
    floating: list[str] = dataclasses.field(default_factory=list)
    """Labels of the savepoints that a READ ONLY transaction has given up, lowest first."""

    def __post_init__(self) -> None:
        default = self.settings.get("default_transaction_read_only", "off")
        self.read_only = self.read_only or default.lower() in ("on", "true", "yes", "1")
