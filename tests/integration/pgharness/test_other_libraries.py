"""SQLModel, scoped sessions, several bases, schemas, extensions and engines, each under rollback."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlmodel
from sqlalchemy import FetchedValue, ForeignKey, NullPool, Uuid, create_engine, event, func, select, text
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, scoped_session, sessionmaker
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelSession

from pgharness.fixtures import Database
from pgharness.worker import Worker
from tests.integration.pgharness.conftest import MakeProject
from tests.support.own_worker import OwnDatabases, own_databases, own_worker
from tests.support.schema_projects import ASYNC_ENV, alembic_project, configure, fetch, migration

EXTENSIONS = """
    available = "SELECT name FROM pg_available_extensions ORDER BY name"
    known = set(op.get_bind().scalars(sa.text(available)))  # the wheel of PostgreSQL has no uuid-ossp
    for name in sorted(known & {"citext", "pg_trgm", "uuid-ossp"}):
        op.execute(f'CREATE EXTENSION "{name}"')
    make_id = "uuid_generate_v4" if name == "uuid-ossp" else "gen_random_uuid"
    op.execute(f"CREATE TABLE heroes (id uuid PRIMARY KEY DEFAULT {make_id}(), name citext UNIQUE)")
    op.execute("CREATE TYPE mood AS ENUM ('ok')")
"""
SCHEMAS = """
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY ix_heroes ON heroes USING gin (name gin_trgm_ops)")
        op.execute("ALTER TYPE mood ADD VALUE 'sad'")
    op.execute("ALTER TABLE heroes ADD mood mood DEFAULT 'sad'")
    for schema in ("billing", "tenant_a", "tenant_b"):
        op.execute(f"CREATE SCHEMA {schema}")
    op.execute("CREATE TABLE billing.invoices (id serial PRIMARY KEY, hero uuid REFERENCES heroes (id))")
    op.execute("CREATE TABLE tenant_a.items (name text)")
    op.execute("CREATE TABLE tenant_b.items (name citext)")
"""


class Hero(sqlmodel.SQLModel, table=True):
    __tablename__ = "heroes"
    id: uuid.UUID = sqlmodel.Field(primary_key=True, default_factory=uuid.uuid4)
    name: str = sqlmodel.Field(sa_type=CITEXT)


class Base(DeclarativeBase): ...


class Billing(DeclarativeBase):
    metadata = sqlmodel.MetaData(schema="billing")


class Person(Base):
    __tablename__ = "heroes"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, server_default=FetchedValue())
    name: Mapped[str] = mapped_column(CITEXT)


class Invoice(Billing):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    hero: Mapped[uuid.UUID] = mapped_column(Uuid, ForeignKey(Person.id))


@pytest.fixture(scope="module")
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnDatabases]:
    root = alembic_project(
        tmp_path_factory.mktemp("project"),
        env=ASYNC_ENV,
        migrations={"a1.py": migration("a1", None, EXTENSIONS), "b1.py": migration("b1", "a1", SCHEMAS)},
    )
    with own_databases(configure(root), request.config) as made:
        yield made


@pytest.fixture(scope="module")
def worker(databases: OwnDatabases) -> Iterator[Worker]:
    with own_worker(databases) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_left(worker: Worker) -> Iterator[None]:
    yield
    query = "SELECT (SELECT count(*) FROM heroes) + (SELECT count(*) FROM billing.invoices)"
    assert fetch(worker.database.server.address, worker.database.name, query) == [(0,)]


@pytest.fixture
def psycopg_url(worker: Worker) -> str:
    return worker.database.server.address.url(worker.database.name, "psycopg")


@pytest.fixture(params=["asyncpg", "psycopg"])
def url(request: pytest.FixtureRequest, worker: Worker) -> str:
    return worker.database.server.address.url(worker.database.name, request.param)


@pytest.fixture
def engine(url: str) -> AsyncEngine:
    return create_async_engine(url, poolclass=NullPool)


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


# -- bases, schemas and search_path ------------------------------------------------------------------------


async def test_several_bases_in_several_schemas(worker: Worker, engine: AsyncEngine, url: str) -> None:
    """One session over two bases, each bound to an engine of its own."""
    billing = create_async_engine(url, poolclass=NullPool)
    sessions = async_sessionmaker(binds={Base: engine, Billing: billing}, expire_on_commit=False)
    with worker.test("test_x", "rollback"):
        async with sessions() as session:
            session.add(person := Person(name="Ada"))
            await session.flush()
            session.add(Invoice(hero=person.id))
            await session.commit()
        async with sessions() as session:
            owners = await session.scalars(
                select(Person.name).join(Invoice, Invoice.hero == Person.id),
                bind_arguments={"mapper": Person},
            )
            assert owners.all() == ["Ada"]
            session.add(Invoice(hero=uuid.uuid4()))
            with pytest.raises(IntegrityError):
                await session.commit()


async def test_schema_translate_map(worker: Worker, engine: AsyncEngine) -> None:
    names: list[str] = []
    with worker.test("test_x", "rollback"):
        for schema in ("tenant_a", "tenant_b"):
            tenant = engine.execution_options(schema_translate_map={None: schema})
            items = sqlmodel.Table("items", sqlmodel.MetaData(), sqlmodel.Column("name", sqlmodel.String))
            async with tenant.begin() as connection:
                await connection.execute(items.insert().values(name=schema))
            async with tenant.connect() as connection:
                names += (await connection.execute(select(items.c.name))).scalars().all()

    assert names == ["tenant_a", "tenant_b"]


def path_options(url: str, schema: str) -> dict[str, Any]:
    if "asyncpg" in url:
        return {"connect_args": {"server_settings": {"search_path": f"{schema},public"}}}
    return {"connect_args": {"options": f"-csearch_path={schema},public"}}


async def test_search_path_of_each_engine(worker: Worker, url: str) -> None:
    """The same SQL means another table, with a column of another type, on each; asyncpg prepares it once."""
    engines = [create_async_engine(url, **path_options(url, name)) for name in ("tenant_a", "tenant_b")]
    for _ in range(2):
        with worker.test("test_x", "rollback"):
            for number, engine in enumerate(engines):
                async with engine.begin() as connection:
                    await connection.execute(
                        text("INSERT INTO items VALUES (:name)"), {"name": f"Of {number}"}
                    )
            found: list[Any] = []
            for engine in (*engines, *engines):
                async with engine.connect() as connection:
                    found += await connection.execute(text("SELECT *, name = 'of 1' FROM items"))

        assert found == [("Of 0", False), ("Of 1", True)] * 2
    for engine in engines:
        await engine.dispose()


async def test_search_path_in_the_url(worker: Worker, psycopg_url: str) -> None:
    engine = create_async_engine(f"{psycopg_url}?options=-csearch_path%3Dtenant_a")
    with worker.test("test_x", "rollback"):
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO items VALUES ('a')"))
            assert await connection.scalar(text("SELECT count(*) FROM tenant_a.items")) == 1
    await engine.dispose()


async def test_search_path_set_for_a_transaction_or_a_session(worker: Worker, engine: AsyncEngine) -> None:
    path, set_path = text("SHOW search_path"), "SET {} search_path TO tenant_b, public"
    with worker.test("test_x", "rollback"):
        async with engine.connect() as connection:
            default = await connection.scalar(path)
            await connection.execute(text(set_path.format("LOCAL")))
            assert await connection.scalar(path) == "tenant_b, public"
            await connection.commit()
            assert await connection.scalar(path) == default
            await connection.execute(text(set_path.format("SESSION")))
            await connection.commit()
            assert await connection.scalar(path) == "tenant_b, public"
            async with engine.connect() as other:
                assert await other.scalar(path) == default


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


# -- anyio ---------------------------------------------------------------------------------------------------

ANYIO_CONFTEST = """
import asyncio
import pytest

@pytest.fixture(scope="module")
def anyio_backend(): return "asyncio"

@pytest.fixture(scope="module")
async def loop(anyio_backend):
    yield asyncio.get_running_loop()
"""
ANYIO_TESTS = """
import asyncio
import anyio
import pytest
from notes import Note
from sqlalchemy import select

asynchronous = pytest.mark.anyio

async def post(client, text): assert (await client.post("/notes", params={"text": text})).status_code == 201

@asynchronous
@pytest.mark.parametrize("run", [1, 2, 3])
async def test_requests_in_a_task_group(client, db_session, loop, run):
    assert asyncio.get_running_loop() is loop
    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(post, client, name)
    assert len((await db_session.scalars(select(Note))).all()) == 6

@asynchronous
async def test_from_a_thread_back_to_the_loop(client):
    await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(post, client, "a"))
    assert (await client.get("/notes")).json() == 2

def test_a_plain_test_between_them(sync_client):
    assert sync_client.post("/notes", params={"text": "a"}).status_code == 201
    assert sync_client.get("/notes").json() == 2
"""


def test_anyio_on_a_loop_of_module_scope(project: MakeProject) -> None:
    adopter = project("asyncpg_app")
    adopter.write("conftest.py", ANYIO_CONFTEST)
    adopter.write("test_notes.py", ANYIO_TESTS)
    ini = adopter.path / "pyproject.toml"
    ini.write_text(ini.read_text().replace('asyncio_mode = "auto"\n', ""))

    result = adopter.pytest("-p", "no:asyncio")

    assert (result.code, result.outcomes) == (0, {"passed": 5}), result.output
