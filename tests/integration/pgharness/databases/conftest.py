"""One run on a server of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pgharness.config import Config
from pgharness.databases.databases import Databases
from pgharness.server.base import Server
from tests.support.schema_projects import (
    BARE,
    configure,
    databases,
    execute,
    write,
)


@pytest.fixture
def clean(server: Server) -> Iterator[Server]:
    """The server, on which a test leaves nothing."""
    yield server
    for name in databases(server.address) - BARE:
        execute(
            server.address,
            "postgres",
            f'ALTER DATABASE "{name}" IS_TEMPLATE false',
            f'DROP DATABASE "{name}" WITH (FORCE)',
        )


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write(tmp_path, "schema.sql", "CREATE TABLE users (id serial PRIMARY KEY); INSERT INTO users VALUES (7);")
    return configure(tmp_path, sql=["schema.sql"])


@pytest.fixture
def run(clean: Server, config: Config) -> Iterator[Databases]:
    opened = Databases(clean, run_id="run1", config=config)
    opened.open()
    yield opened
    opened.close()
