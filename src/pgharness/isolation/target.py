"""The database that the tests of a worker share."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """The worker's database, as the links connect to it. ``lock_timeout`` is in seconds.

    ``tls`` lets the drivers try TLS first, as they do by default; a server on loopback has none.
    """

    host: str
    port: int
    user: str
    password: str = dataclasses.field(repr=False)
    database: str
    lock_timeout: float
    tls: bool = False
    writers: frozenset[str] = frozenset()
    deferrable: bool = False
    """Whether the schema has a constraint, or constraint trigger, that can wait for the commit."""
    strict: Literal["off", "warn", "error"] = "off"
    """What to do where a transaction reads what another has not committed."""
    clock: bool = False
    """Whether each transaction is told what time it is."""
