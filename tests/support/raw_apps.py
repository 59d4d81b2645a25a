"""Apps without SQLAlchemy, on a pool of asyncpg or of psycopg."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import psycopg_pool
from fastapi import FastAPI, Request


@contextlib.asynccontextmanager
async def asyncpg_pool(made: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["RAW_DATABASE_URL"], min_size=1) as pool:

        async def insert(name: str) -> None:
            await pool.execute("INSERT INTO customer VALUES ($1)", name)

        async def count() -> int:
            return int(await pool.fetchval("SELECT count(*) FROM customer"))

        made.state.insert, made.state.count = insert, count
        yield


@contextlib.asynccontextmanager
async def psycopg_pool_of_connections(made: FastAPI) -> AsyncIterator[None]:
    async with psycopg_pool.AsyncConnectionPool(os.environ["RAW_DATABASE_URL"], min_size=1) as pool:

        async def insert(name: str) -> None:
            async with pool.connection() as connection:
                await connection.execute("INSERT INTO customer VALUES (%s)", (name,))

        async def count() -> int:
            async with pool.connection() as connection:
                found: Any = await (await connection.execute("SELECT count(*) FROM customer")).fetchone()
                return int(found[0])

        made.state.insert, made.state.count = insert, count
        yield


def raw_app(lifespan: Any) -> FastAPI:
    made = FastAPI(lifespan=lifespan)

    @made.post("/customers", status_code=201)
    async def register(name: str, request: Request) -> None:
        await request.app.state.insert(name)

    @made.get("/customers")
    async def customers(request: Request) -> int:
        return int(await request.app.state.count())

    return made
