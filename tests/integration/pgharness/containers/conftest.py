"""Fixtures for tests on a real Docker engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import docker  # type: ignore[import-untyped]  # docker has no types
import pytest
from testcontainers.core.config import testcontainers_config

from tests.support.engine import ENGINE, containers_of


@pytest.fixture(autouse=True)
def without_reaper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    assert ENGINE is not None
    client = docker.DockerClient(base_url=ENGINE.url)
    yield client
    client.close()


@pytest.fixture
def ours(client: docker.DockerClient) -> Callable[[], list[str]]:
    """The containers that this process has made since the test began."""
    before = containers_of(client, os.getpid())
    return lambda: [name for name in containers_of(client, os.getpid()) if name not in before]
