"""A worker on a database with extensions and several schemas."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    create_async_engine,
)

from pgharness.runs.worker import Worker
from tests.support.library_models import EXTENSIONS, SCHEMAS
from tests.support.own_worker import OwnDatabases, own_databases, own_worker
from tests.support.schema_projects import ASYNC_ENV, alembic_project, configure, fetch, migration


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
    assert fetch(worker.server.address, worker.database, query) == [(0,)]


@pytest.fixture
def psycopg_url(worker: Worker) -> str:
    return worker.address.url(worker.database, "psycopg")


@pytest.fixture(params=["asyncpg", "psycopg"])
def url(request: pytest.FixtureRequest, worker: Worker) -> str:
    return worker.address.url(worker.database, request.param)


@pytest.fixture
def engine(url: str) -> AsyncEngine:
    return create_async_engine(url, poolclass=NullPool)
