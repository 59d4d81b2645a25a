"""A database with joined engines beside the suite's own, for tests of the isolation itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pgharness.isolation.engines import Engines
from pgharness.isolation.rollback import Rollback
from pgharness.isolation.target import Target


class Joined:
    """Engines on the database at ``url`` join while `test` runs, and are real otherwise."""

    def __init__(self, url: str, *, lock_timeout: float = 5.0, **target: Any) -> None:
        """``target`` are further fields of `Target`."""
        parts = urlsplit(url)
        made = Target(
            host=parts.hostname or "",
            port=parts.port or 5432,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            database=parts.path[1:],
            lock_timeout=lock_timeout,
            **target,
        )
        self.rollback = Rollback(made)
        self.engines = Engines(self.rollback)
        self.engines.isolation = "database"
        self.engines.install()

    @contextlib.contextmanager
    def test(self, name: str = "test_x") -> Iterator[Joined]:
        """One test, or a scope around others; what it must not have done is raised at its end."""
        self.rollback.start(name)
        self.engines.isolation = "rollback"
        self.rollback.in_call = True
        try:
            yield self
        finally:
            self.rollback.in_call = False
            errors = self.rollback.finish()
            self.engines.isolation = "database" if self.rollback.test is None else "rollback"
        if errors:
            raise errors[0]

    def close(self) -> None:
        self.engines.remove()
        self.rollback.close()
