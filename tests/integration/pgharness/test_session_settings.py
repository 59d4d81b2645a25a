"""SET on one connection is that connection's, and ends with the test unless the connection was made so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.joined import Joined

Use = Callable[[Callable[[Connection], Any]], Any]


class Client:
    """An engine of either kind; `use` calls a function with a connection and commits."""

    def __init__(self, url: str, driver: str, **options: Any) -> None:
        self.asynchronous = driver == "asyncpg"
        self.runner = asyncio.Runner()
        if self.asynchronous:
            self.engine: Any = create_async_engine(url, **options)
        else:
            self.engine = create_engine(url, **options)

    @property
    def sync_engine(self) -> Engine:
        engine: Engine = self.engine.sync_engine if self.asynchronous else self.engine
        return engine

    def use(self, function: Callable[[Connection], Any], *, commit: bool = True) -> Any:
        def call(connection: Connection) -> Any:
            result = function(connection)
            connection.commit() if commit else connection.rollback()
            return result

        if not self.asynchronous:
            with self.engine.connect() as connection:
                return call(connection)

        async def go() -> Any:
            async with self.engine.connect() as connection:
                return await connection.run_sync(call)

        return self.runner.run(go())

    def close(self) -> None:
        if self.asynchronous:
            self.runner.run(self.engine.dispose())
        else:
            self.engine.dispose()
        self.runner.close()

    def show(self, name: str) -> str:
        return str(self.use(lambda c: c.execute(text(f"SHOW {name}")).scalar()))

    def set(self, statement: str, *, commit: bool = True) -> None:
        self.use(lambda c: c.execute(text(statement)), commit=commit)


@pytest.fixture(params=["asyncpg", "psycopg", "psycopg2"])
def client(request: pytest.FixtureRequest, joined: Joined) -> Iterator[Callable[..., Client]]:
    url = getattr(joined, f"{request.param}_url")
    with contextlib.ExitStack() as made:
        yield lambda **options: made.enter_context(contextlib.closing(Client(url, request.param, **options)))


def test_what_a_connect_listener_sets_holds_in_every_test(
    joined: Joined, client: Callable[..., Client]
) -> None:
    made = client()

    @event.listens_for(made.sync_engine, "connect")
    def set_path(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("SET search_path TO tenant, public")
        cursor.close()
        connection.commit()

    for _ in range(3):
        with joined.test():
            assert made.show("search_path") == "tenant, public"


def test_one_engine_does_not_see_what_another_has_set(joined: Joined, client: Callable[..., Client]) -> None:
    one, other = client(), client()

    with joined.test():
        default = other.show("statement_timeout")
        one.set("SET statement_timeout = '7s'")

        assert (one.show("statement_timeout"), other.show("statement_timeout")) == ("7s", default)


@pytest.mark.parametrize(
    "options", [{}, {"isolation_level": "AUTOCOMMIT"}], ids=["transaction", "autocommit"]
)
def test_what_a_test_sets_is_gone_in_the_next(
    joined: Joined, client: Callable[..., Client], options: dict[str, str]
) -> None:
    made = client(**options)

    with joined.test():
        made.set("SET TIME ZONE 'Asia/Tokyo'")
        assert made.show("timezone") == "Asia/Tokyo"
    with joined.test():
        assert made.show("timezone") != "Asia/Tokyo"


def test_a_setting_is_rolled_back_with_its_transaction(joined: Joined, client: Callable[..., Client]) -> None:
    made = client()

    with joined.test():
        made.set("SET statement_timeout = '7s'", commit=False)

        assert made.show("statement_timeout") != "7s"


def test_reset_gives_back_the_default(joined: Joined, client: Callable[..., Client]) -> None:
    made = client()

    with joined.test():
        default = made.show("statement_timeout")
        made.set("SET statement_timeout = '7s'")
        made.set("RESET statement_timeout")

        assert made.show("statement_timeout") == default
