"""The one server of a run, and the databases on it."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

import docker  # type: ignore[import-untyped]  # docker has no types
import psycopg

from pgharness.config import resolve
from pgharness.server.base import Server
from pgharness.server.choose import reserve, start

TEMPLATE = "truth_template"
SCHEMA = """
from sqlalchemy import create_engine
from truth.shop.models import Base
import sys
Base.metadata.create_all(create_engine(sys.argv[1]))
"""


class Ground:
    """A server, started on entry and stopped on exit; its databases are named after their contender.

    Args:
        backend: ``auto``, ``container`` or ``local``, as pgharness knows them.
    """

    def __init__(self, backend: str) -> None:
        self._config = resolve(
            command_line={"pg_backend": backend}.get, ini=lambda _: None, environ={}, root=Path.cwd()
        )
        self.image = self._config.image
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        self._reservation = reserve(self._config)
        self.server: Server = start(self._config, self._reservation)
        self.version = self.server.version
        self.engine = docker_answers()
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        command = [sys.executable, "-c", SCHEMA, self.server.address.url(TEMPLATE, "psycopg")]
        subprocess.run(command, check=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        self._reservation.close()

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(self.server.address.url(), autocommit=True)

    def name(self, contender: str) -> str:
        """A name for a database that no other process has had."""
        return f"truth_{contender.replace('-', '_')}_{next(self._numbers)}"

    def prepare(self, name: str) -> None:
        """Make the database ``name`` with the app's schema."""
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")


def docker_answers() -> bool:
    """Whether there is an engine for the contender that needs one."""

    with contextlib.suppress(Exception), contextlib.closing(docker.from_env()) as client:
        return bool(client.ping())
    return False


def remove_container(name: str) -> None:
    """Remove what a process that was ended has left, as the next one would; it may be going already."""
    with contextlib.closing(docker.from_env()) as client, contextlib.suppress(docker.errors.APIError):
        client.containers.get(name).remove(force=True)


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port
