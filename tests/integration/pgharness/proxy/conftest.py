"""The proxy's process before a database of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pgharness.fixtures import Database
from pgharness.proxy.control import Control
from pgharness.server.base import Address
from tests.support.proxied import Proxied

SCHEMA = "CREATE TABLE t (x int PRIMARY KEY); CREATE TABLE words (id serial PRIMARY KEY, v text)"


@pytest.fixture
def proxied_options() -> dict[str, Any]:
    """Override it: what the proxy is told first."""
    return {}


@pytest.fixture
def proxied_control() -> type[Control]:
    """Override it: where the proxy runs, in a process of its own or in this one."""
    return Control


@pytest.fixture
def direct(server_address: Address, pg_empty_database: Database) -> Iterator[psycopg.Connection[Any]]:
    """A superuser's connection past the proxy."""
    with psycopg.connect(server_address.url(pg_empty_database.name), autocommit=True) as connection:
        connection.execute(SCHEMA)
        yield connection


@pytest.fixture
def proxied(
    server_address: Address,
    pg_empty_database: Database,
    direct: psycopg.Connection[Any],
    proxied_options: dict[str, Any],
    proxied_control: type[Control],
) -> Iterator[Proxied]:
    made = Proxied(server_address, pg_empty_database.name, proxied_control, **proxied_options)
    yield made
    made.close()
