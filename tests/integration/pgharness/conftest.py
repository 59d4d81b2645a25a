"""Fixtures for tests of the plugin by whole runs, and of the isolation itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgharness.fixtures import Database, PgServer
from pgharness.server.base import Address, Server
from pgharness.server.urls import parse_url
from tests.support.joined import Joined
from tests.support.project import Project
from tests.support.schema_projects import execute
from tests.support.scratch_server import scratch_server
from tests.support.server_runs import open_directory


class MakeProject(Protocol):
    def __call__(self, example: str) -> Project: ...


@pytest.fixture
def project(pg_server: PgServer, tmp_path: Path) -> MakeProject:
    """A copy of one of ``tests/examples``, run on the suite's server with databases of its own."""
    return lambda example: Project.of(example, tmp_path, pg_server.url)


@pytest.fixture
def empty_project(pg_server: PgServer, tmp_path: Path) -> Project:
    """A project without files, run on the suite's own server."""
    return Project(tmp_path, pg_server.url)


# -- the isolation itself -----------------------------------------------------------------------------------


@pytest.fixture
def joined_schema() -> str:
    """Override it: the SQL that the database of `joined` begins with."""
    return ""


@pytest.fixture
def joined_options() -> dict[str, Any]:
    """Override it: further arguments of `Joined`."""
    return {}


@pytest.fixture
def server_address(pg_server: PgServer) -> Address:
    """That of the suite's own server."""
    return parse_url(pg_server.url, "pg_server")


@pytest.fixture
def joined(
    server_address: Address,
    pg_empty_database: Database,
    joined_schema: str,
    joined_options: dict[str, Any],
) -> Iterator[Joined]:
    """A database of its own, shared by all that connects to ``joined.url`` while ``joined.test()`` runs."""
    with psycopg.connect(pg_empty_database.url) as connection:
        connection.execute(joined_schema.encode())
    made = Joined(server_address, pg_empty_database.name, **joined_options)
    yield made
    made.close()


@pytest.fixture
def engine(joined: Joined) -> Engine:
    """An engine that joins; `beside` is one that does not."""
    return create_engine(joined.psycopg_url, poolclass=NullPool)


@pytest.fixture
def async_engine(joined: Joined) -> AsyncEngine:
    return create_async_engine(joined.asyncpg_url, poolclass=NullPool)


@pytest.fixture
def beside(pg_empty_database: Database) -> Engine:
    """An engine on the same database, with connections of its own."""
    return create_engine(pg_empty_database.psycopg_url, poolclass=NullPool)


@pytest.fixture
def administrator(server_address: Address, pg_empty_database: Database) -> Engine:
    """An engine on the same database, with a superuser's connections."""
    return create_engine(server_address.url(pg_empty_database.name, "psycopg"), poolclass=NullPool)


@pytest.fixture
def async_beside(pg_empty_database: Database) -> AsyncEngine:
    return create_async_engine(pg_empty_database.asyncpg_url, poolclass=NullPool)


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """A loop that outlives the joined tests, which end between its runs as under a pytest plugin."""
    with asyncio.Runner() as runner:
        yield runner


# -- a server of their own ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch_server() as running:
        yield running


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    name = "pgh_schema_test"
    execute(server.address, "postgres", f"CREATE DATABASE {name}")
    yield name
    execute(server.address, "postgres", f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def home() -> Iterator[Path]:
    with open_directory() as directory:
        yield directory
