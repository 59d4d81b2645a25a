"""A throw-away PostgreSQL for the harness's own tests of schema and databases."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pgharness.config import resolve
from pgharness.server.base import Address, Server
from pgharness.server.choose import reserve, start


@contextlib.contextmanager
def scratch_server() -> Iterator[Server]:
    """PostgreSQL on a free loopback port, stopped and removed at the end.

    From local binaries; PGHARNESS_BIN may say which.
    """
    config = resolve(
        command_line=lambda name: None,
        ini={"pg_backend": "local"}.get,
        environ={name: value for name, value in os.environ.items() if name == "PGHARNESS_BIN"},
        root=Path.cwd(),
    )
    server = start(config, reserve(config))
    try:
        yield server
    finally:
        server.stop()


@dataclasses.dataclass
class FoundServer:
    """A server as the external backend finds it: not ours, and reached at an address of its own."""

    address: Address
    version: str
    backend: Literal["container", "local", "external"] = "external"
    detail: str = "at an address given"
    owned: bool = False
    tried: tuple[str, ...] = ()
    superuser: bool = True

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])

    def stop(self) -> None:
        """Leaves it alone."""
