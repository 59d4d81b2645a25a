"""SQLModel, scoped sessions, several bases, schemas, extensions and engines, each under rollback."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlmodel
from sqlalchemy import NullPool, create_engine, event, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import scoped_session, sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelSession

from pgharness.fixtures import Database
from pgharness.fixtures.sessions import async_session, sync_session
from pgharness.runs.worker import Worker
from tests.support.library_models import Hero, Person

# -- SQLModel -----------------------------------------------------------------------------------------


async def test_sqlmodel(worker: Worker, engine: AsyncEngine) -> None:
    with worker.test("test_x", "rollback"):
        async with SQLModelSession(engine) as session:
            session.add(Hero(name="Deadpond"))
            await session.commit()
        async with SQLModelSession(engine) as session:
            session.add(Hero(name="DEADPOND"))
            with pytest.raises(IntegrityError):
                await session.commit()
            await session.rollback()
            found = (await session.exec(sqlmodel.select(Hero.name))).all()

    assert found == ["Deadpond"]


def test_sqlmodel_synchronous(worker: Worker, psycopg_url: str) -> None:
    engine = create_engine(psycopg_url)
    with worker.test("test_x", "rollback"):
        with sqlmodel.Session(engine) as session:
            session.add(Hero(name="Deadpond"))
            session.commit()
        with sqlmodel.Session(engine) as session:
            hero = session.exec(sqlmodel.select(Hero).where(Hero.name == "deadpond")).one()
            session.delete(hero)
            session.commit()
            assert session.exec(sqlmodel.select(func.count()).select_from(Hero)).one() == 0
    engine.dispose()


@pytest.fixture(
    params=[
        {"class_": SQLModelSession},
        {"class_": sqlmodel.Session},
        {"sync_session_class": sqlmodel.Session},
    ],
    ids=lambda options: "-".join((*options, *(asked.__module__ for asked in options.values()))),
)
def session(request: pytest.FixtureRequest, worker: Worker, url: str) -> Iterator[AsyncSession]:
    with worker.test("test_x", "rollback"):
        yield from async_session(url, request.param)


async def test_the_harness_session_is_of_the_class_that_is_asked_for_and_fresh(
    session: AsyncSession, engine: AsyncEngine
) -> None:
    session.add(hero := Hero(name="Deadpond"))
    await session.commit()
    await session.refresh(hero)
    async with SQLModelSession(engine) as of_the_app:
        (await of_the_app.exec(sqlmodel.select(Hero))).one().name = "Deadpool"
        await of_the_app.commit()

    assert isinstance(session.sync_session, sqlmodel.Session)
    assert await session.get(Hero, hero.id) is hero
    assert hero.name == "Deadpool"


@pytest.mark.parametrize("session_class", [SQLModelSession, sqlmodel.Session])
def test_the_same_in_a_plain_test(worker: Worker, psycopg_url: str, session_class: type) -> None:
    with worker.test("test_x", "rollback"):
        for session in sync_session(psycopg_url, {"class_": session_class}):
            assert isinstance(session, sqlmodel.Session)
            session.add(Hero(name="Deadpond"))
            session.commit()
            assert session.exec(sqlmodel.select(Hero.name)).all() == ["Deadpond"]


# -- scoped sessions ------------------------------------------------------------------------------------


async def test_async_scoped_session_of_each_task(worker: Worker, engine: AsyncEngine) -> None:
    scoped = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)

    async def add(name: str) -> AsyncSession:
        scoped.add(Person(name=name))
        await scoped.commit()
        session = scoped()
        await scoped.remove()
        return session

    with worker.test("test_x", "rollback"):
        sessions = await asyncio.gather(*(add(name) for name in "abcd"))
        found = (await scoped.scalars(select(Person.name).order_by(Person.name))).all()
        await scoped.remove()

    assert (len(set(sessions)), found) == (4, list("abcd"))


def test_scoped_session_without_remove(worker: Worker, psycopg_url: str) -> None:
    """The registry outlives the test, as those at module level do."""
    engine = create_engine(psycopg_url)
    scoped = scoped_session(sessionmaker(engine))
    found = []
    for name in ("a", "b"):
        with worker.test(f"test_{name}", "rollback"):
            scoped.add(Person(name=name))
            scoped.commit()
            found.append(scoped.scalars(select(Person.name)).all())
            scoped.rollback()
    scoped.remove()
    engine.dispose()

    assert found == [["a"], ["b"]]


# -- extensions ---------------------------------------------------------------------------------------------


async def test_extensions_created_by_migrations(worker: Worker, engine: AsyncEngine) -> None:
    with worker.test("test_x", "rollback"):
        async with AsyncSession(engine) as session:
            session.add_all(Person(name=name) for name in ("Ada Lovelace", "Grace Hopper"))
            await session.commit()
            similar = select(Person.name).where(Person.name.op("%")("ada lovelac"))
            assert (await session.scalars(similar)).all() == ["Ada Lovelace"]
            assert (
                await session.scalar(select(Person.name).where(Person.name == "GRACE HOPPER"))
                == "Grace Hopper"
            )
            assert await session.scalar(text("SELECT DISTINCT mood FROM heroes")) == "sad"
            assert isinstance(await session.scalar(select(Person.id)), uuid.UUID)


# -- further engines ----------------------------------------------------------------------------------------


@pytest.fixture(params=["execution option", "server setting", "SET"])
def reading(request: pytest.FixtureRequest, url: str) -> AsyncEngine:
    """A second engine, read-only in one of the ways there are."""
    if request.param == "execution option":
        return create_async_engine(url, execution_options={"postgresql_readonly": True})
    if request.param == "server setting":
        name = "default_transaction_read_only"
        arguments = {"server_settings": {name: "on"}} if "asyncpg" in url else {"options": f"-c {name}=on"}
        return create_async_engine(url, connect_args=arguments)
    made = create_async_engine(url)

    @event.listens_for(made.sync_engine, "connect")
    def set_characteristics(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        cursor.close()
        connection.commit()

    return made


async def test_a_read_only_engine_reads_what_the_other_commits(
    worker: Worker, engine: AsyncEngine, reading: AsyncEngine
) -> None:
    with worker.test("test_x", "rollback"):
        async with reading.connect() as reader:
            assert await reader.scalar(select(func.count()).select_from(Person)) == 0
            async with AsyncSession(engine) as session:
                session.add(Person(name="Ada"))
                await session.commit()
            assert await reader.scalar(select(Person.name)) == "Ada"
            with pytest.raises(DBAPIError, match="read-only transaction"):
                await reader.execute(text("DELETE FROM heroes"))
        async with AsyncSession(engine) as session:
            session.add(Person(name="Grace"))
            await session.commit()
    await reading.dispose()


async def test_an_engine_on_another_database_is_as_it_is_in_production(
    worker: Worker, engine: AsyncEngine, url: str, pg_empty_database: Database
) -> None:
    """It joins nothing: what it commits stays, and what it does fails or succeeds by itself."""
    name = make_url(url).set(database=pg_empty_database.name)
    other = create_async_engine(name, poolclass=NullPool)
    with worker.test("test_x", "rollback"):
        async with other.begin() as connection:
            await connection.execute(text("CREATE TABLE archive (name text)"))
        async with AsyncSession(engine) as session, other.connect() as connection:
            session.add(Person(name="Ada"))
            await connection.execute(text("INSERT INTO archive VALUES ('Ada')"))
            await connection.commit()
            await session.rollback()
            assert await session.scalar(select(func.count()).select_from(Person)) == 0

    async with other.connect() as connection:
        assert await connection.scalar(text("SELECT name FROM archive")) == "Ada"
