"""A database with joined engines beside the suite's own, for tests of the isolation itself."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgharness.errors import IsolationError
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


ONE = text("SELECT 1")
HERE = r"tests/[\w/]+\.py:\d+ in \w+"


async def select_one(engine: AsyncEngine) -> object:
    async with engine.connect() as connection:
        return (await connection.execute(ONE)).scalar()


async def open_transaction(engine: AsyncEngine) -> AsyncConnection:
    connection = await engine.connect()
    await connection.execute(ONE)
    return connection


@contextlib.contextmanager
def refused(sentence: str) -> Iterator[pytest.ExceptionInfo[IsolationError]]:
    """The block raises an IsolationError whose first line is ``sentence``, in which HERE is a place."""
    with pytest.raises(IsolationError) as raised:
        yield raised
    pattern = re.escape(sentence).replace("HERE", HERE)
    assert re.fullmatch(pattern, raised.value.failed), raised.value.failed


@contextlib.contextmanager
def leaving(joined: Joined, sentence: str, *checked: str, rows: bool = False) -> Iterator[None]:
    """The test fails at its end with ``sentence``, in which HERE is a place; ``rows`` may have stayed."""
    with pytest.raises(IsolationError) as raised, joined.test():
        yield
    error = raised.value
    assert re.fullmatch(re.escape(sentence).replace("HERE", HERE), error.failed), error.failed
    assert [re.sub(HERE, "HERE", line) for line in error.checked] == list(checked)
    assert error.leaked_rows == rows
