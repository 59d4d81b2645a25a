"""The app under test. The tests add the endpoints that only they are about."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from fastapi import FastAPI, HTTPException
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from truth.shop.database import URL, WITH_FASTAPI_SQLA, Session
from truth.shop.models import Item

jobs: set[asyncio.Task[None]] = set()
"""What goes on after the request that asked for it."""
gates: list[asyncio.Event] = []
"""What some of them wait for."""


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if WITH_FASTAPI_SQLA:
        await fastapi_sqla.startup()
    app.state.engine = create_async_engine(URL)
    yield
    await app.state.engine.dispose()


app = FastAPI(lifespan=lifespan)
if WITH_FASTAPI_SQLA:
    import fastapi_sqla

    fastapi_sqla.setup_middlewares(app)


@app.post("/items/{name}", status_code=201)
async def create(name: str, session: Session) -> None:
    session.add(Item(name=name))
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        raise HTTPException(409) from None


@app.get("/items")
async def names(session: Session) -> list[str]:
    return list(await session.scalars(select(Item.name).order_by(Item.id)))


def start(work: Coroutine[Any, Any, None]) -> None:
    """Go on with ``work`` after the request."""
    jobs.add(asyncio.create_task(work))


async def settle() -> list[BaseException | None]:
    """Wait for all that `start` has begun; returns how each ended."""
    waiting = list(jobs)
    jobs.clear()
    return await asyncio.gather(*waiting, return_exceptions=True)
