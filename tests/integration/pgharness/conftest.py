"""Fixtures for tests of the plugin by whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import pytest

from pgharness.fixtures import PgServer
from tests.support.project import Project


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
