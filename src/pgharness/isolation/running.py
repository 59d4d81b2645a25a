"""What is known of the test that runs, whichever connection serves it."""

from __future__ import annotations

import asyncio
import dataclasses
import weakref
from typing import TYPE_CHECKING, Any, Literal

from pgharness.databases.sequences import Restart
from pgharness.errors import IsolationError

if TYPE_CHECKING:
    from pgharness.isolation.link import Link

Strict = Literal["off", "warn", "error"]


@dataclasses.dataclass(eq=False, slots=True)
class Test:
    """The test whose transaction the engines join, or the module or class for whose tests data is made.

    ``parent`` is the module or class whose data this one sees.
    """

    __test__ = False
    id: str
    parent: Test | None = None
    restart: Restart | None = None
    """What sets the sequences back at its beginning, if it asks for that."""
    link: Link | None = None
    ended: bool = False
    errors: list[IsolationError] = dataclasses.field(default_factory=list)
    """What was raised because rows would have been wrong; fails the test even if it was swallowed."""
    warnings: dict[str, None] = dataclasses.field(default_factory=dict)
    """What the test is warned of at its end, each once."""
    tasks: weakref.WeakSet[asyncio.Task[Any]] = dataclasses.field(default_factory=weakref.WeakSet)
    """The asyncio tasks that have used the database."""
    tables: set[str] = dataclasses.field(default_factory=set)
    """The tables that have been changed in its transaction."""
    listens_at: str = ""
    """Where LISTEN was sent on a connection opened past SQLAlchemy."""

    def doubt(self, error: IsolationError, strict: Strict) -> None:
        """Say ``error`` as pg_strict asks: raise it, or warn of it at the end of the test.

        Raises:
            IsolationError: ``error``, which fails the test even if it is swallowed.
        """
        if strict == "error":
            self.errors.append(error)
            raise error
        if strict == "warn":
            self.warnings[str(error)] = None
