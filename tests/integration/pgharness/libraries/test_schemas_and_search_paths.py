"""Several schemas, and the ways to say which one a name is looked up in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import sqlmodel
from sqlalchemy import NullPool, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    async_sessionmaker,
    create_async_engine,
)

from pgharness.runs.worker import Worker
from tests.support.library_models import Base, Billing, Invoice, Person


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
