"""The app whose ten requests `wire.py` times, and its table."""

from __future__ import annotations

import contextlib
from typing import Protocol

import httpx
from fastapi import FastAPI
from sqlalchemy import Identity, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Tests(Protocol):
    """What begins and ends a test."""

    def test(self) -> contextlib.AbstractContextManager[None]: ...


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str]


def session_of(bind: AsyncEngine | AsyncConnection | None) -> AsyncSession:
    return AsyncSession(bind, join_transaction_mode="create_savepoint", expire_on_commit=False)


class Api:
    """An app of ten requests, five that write and five that read."""

    def __init__(self) -> None:
        self.bind: AsyncEngine | AsyncConnection | None = None
        app = FastAPI()

        @app.post("/items/{name}")
        async def create(name: str) -> int:
            async with session_of(self.bind) as session:
                item = Item(name=name)
                session.add(item)
                await session.commit()
                return item.id

        @app.get("/items")
        async def names() -> list[str]:
            async with session_of(self.bind) as session:
                return list(await session.scalars(text("SELECT name FROM item ORDER BY id")))

        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://benchmark")

    async def requests(self) -> None:
        for number in range(5):
            assert (await self.client.post(f"/items/{number}")).status_code == 200
            assert len((await self.client.get("/items")).json()) == number + 1


API = Api()


async def api_by_hand(engine: AsyncEngine, _: Tests) -> None:
    async with engine.connect() as opened, opened.begin() as outer:
        API.bind = opened
        await API.requests()
        await outer.rollback()


async def api_joined(engine: AsyncEngine, sides: Tests) -> None:
    with sides.test():
        API.bind = engine
        await API.requests()
