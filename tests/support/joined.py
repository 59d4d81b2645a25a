"""A database whose tests share a transaction through a proxy of its own, to test the isolation itself."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pgharness.config import Config
from pgharness.databases import owner
from pgharness.errors import IsolationError
from pgharness.runs.run import ServerFacts, WorkerDatabase
from pgharness.runs.worker import Worker
from pgharness.server.base import Address
from tests.support.in_this_process import InThisProcess
from tests.support.server_runs import make_config

_OPTIONS = {"lock_timeout": 5.0, "clock": "off"}


class OneDatabase:
    """The part of a run that such a database needs: clones are for others."""

    def __init__(self, server: Address, name: str, *, clock: bool) -> None:
        told = {"address": server, "owner": owner.login(server)}
        facts = ServerFacts("local", "", "", owned=True, clock=clock, **told)
        self._database = WorkerDatabase(name, facts)

    def database(self, _worker: str) -> WorkerDatabase:
        return self._database


class Joined:
    """The database ``name`` on ``server``; what connects to the address here joins while `test` runs.

    ``options`` are those of the harness. Without ``strict`` it shows what others have not committed, which
    most tests of joining look at.
    """

    def __init__(self, server: Address, name: str, *, strict: bool = False, **options: Any) -> None:
        given: dict[str, str] = {key: str(value) for key, value in {**_OPTIONS, **options}.items()}
        config: Config = make_config(**given)
        self.control = InThisProcess()
        provider: Any = OneDatabase(server, name, clock=config.clock == "on")
        self.worker = Worker("main", config, provider, self.control, {"strict": strict})
        self.address = self.worker.address
        self.name = name
        self.url = self.address.url(name)
        self.asyncpg_url = self.address.url(name, "asyncpg")
        self.psycopg_url = self.address.url(name, "psycopg")
        self.psycopg2_url = self.address.url(name, "psycopg2")

    @contextlib.contextmanager
    def test(self, name: str = "test_x", **options: Any) -> Iterator[Joined]:
        """One test, or a scope around others; what it must not have done is raised at its end."""
        with self.worker.test(name, "rollback", **options):
            yield self

    def close(self) -> None:
        self.worker.close()
        self.control.close()


ONE = text("SELECT 1")
HERE = r"tests/[\w/]+\.py:\d+ in \w+"
ERRORS = (DBAPIError, asyncpg.PostgresError, psycopg.Error, psycopg2.Error)


async def select_one(engine: AsyncEngine) -> object:
    async with engine.connect() as connection:
        return (await connection.execute(ONE)).scalar()


async def open_transaction(engine: AsyncEngine) -> AsyncConnection:
    connection = await engine.connect()
    await connection.execute(ONE)
    return connection


def is_sentence(sentence: str, said: str) -> bool:
    """Whether ``said`` is ``sentence``, in which HERE is a place in the code of tests."""
    return re.fullmatch(re.escape(sentence).replace("HERE", HERE), said) is not None


def message_of(error: BaseException) -> str:
    """The first line of what the harness has had PostgreSQL say."""
    found = re.search(r"pgharness: (.*)", str(getattr(error, "orig", None) or error))
    assert found, error
    return found[1]


@contextlib.contextmanager
def refused(sentence: str) -> Iterator[pytest.ExceptionInfo[BaseException]]:
    """The block is answered with ``sentence``, as an error of PostgreSQL's."""
    with pytest.raises(ERRORS) as raised:
        yield raised
    assert is_sentence(sentence, message_of(raised.value)), message_of(raised.value)


@contextlib.contextmanager
def leaving(
    joined: Joined, sentence: str, *checked: str, rows: bool = False, name: str = "test_x"
) -> Iterator[pytest.ExceptionInfo[IsolationError]]:
    """The test fails at its end with ``sentence``, in which HERE is a place; ``rows`` may have stayed."""
    with pytest.raises(IsolationError) as raised, joined.test(name):
        yield raised
    error = raised.value
    assert is_sentence(sentence, error.failed), error.failed
    if checked:
        assert [re.sub(HERE, "HERE", line) for line in error.checked] == list(checked)
    assert error.leaked_rows == rows
