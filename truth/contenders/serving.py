"""What the contenders have in common: the app's lifespan run, and a client that talks to it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from starlette.testclient import TestClient

from truth.shop.app import app
from truth.shop.database import dispose


@contextlib.asynccontextmanager
async def async_client() -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://testserver") as client,
    ):
        yield client


@contextlib.contextmanager
def test_client() -> Iterator[Any]:
    with TestClient(app) as client:
        yield client


@contextlib.asynccontextmanager
async def real_async_client() -> AsyncIterator[httpx.AsyncClient]:
    """The same for an app on real connections, which are closed before the database or the loop goes."""
    async with async_client() as client:
        yield client
    await dispose()


@contextlib.contextmanager
def real_test_client() -> Iterator[Any]:
    with TestClient(app) as client:
        yield client
        assert client.portal is not None
        client.portal.call(dispose)
