"""One run of pytest: the server, the template and the workers' databases, each made when first needed.

The controller owns the `Run`; xdist workers ask it (see `pgharness.runs.controller`).
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

from pgharness.config import Config
from pgharness.errors import HarnessError
from pgharness.server.base import Address, Server


@dataclasses.dataclass(frozen=True, slots=True)
class ServerFacts:
    """What a worker may know of the server."""

    backend: str
    version: str
    detail: str
    owned: bool
    address: Address
    clock: bool = False
    """Whether ``now()`` in its databases is told what time it is."""
    owner: Address | None = None
    """The login of the role that owns its databases, where that is not the one of ``address``."""


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerDatabase:
    """A worker's clone: its name and the server it is on."""

    name: str
    server: ServerFacts


@dataclasses.dataclass(slots=True)
class Facts:
    """What the report says of a run. Times are in seconds."""

    server: ServerFacts
    tried: tuple[str, ...]
    """What ``auto`` tried before the server it took."""
    start_seconds: float
    no_schema: bool = False
    """Whether no schema was found, and none was given up with ``pg_migrations = none``."""
    template: str = ""
    template_hit: bool = False
    template_seconds: float = 0.0
    clones: int = 0
    note: str = ""
    """What the header adds, as a worker has told."""


class Provider(Protocol):
    """What a worker needs of the run, be it in this process or in the controller."""

    def database(self, worker: str) -> WorkerDatabase:
        """The clone of ``worker``, made when first asked for."""
        ...

    def take(self, worker: str) -> str:
        """The name of a fresh clone for a test of the worker with real commits."""
        ...

    def give_back(self, worker: str, name: str) -> None:
        """Drop the clone ``name``, without waiting for it."""
        ...

    def copy(self, worker: str, name: str) -> str:
        """The name of a copy of the worker's database ``name``; connections to that end."""
        ...

    def keep(self, worker: str, name: str) -> None:
        """Have the worker's clones made from its database ``name``, until `forget`."""
        ...

    def forget(self, worker: str) -> None:
        """Drop what was kept last, and have clones made from what was kept before."""
        ...

    def drop(self, worker: str, name: str) -> None:
        """Drop the worker's clone ``name``, and wait for it."""
        ...

    def claim(self, worker: str) -> None:
        """Wait until no other test changes what all databases share, and remember what there is."""
        ...

    def restore(self, worker: str, said: Sequence[str]) -> None:
        """Have roles and databases as they were at `claim`, as far as the statements ``said`` name them."""
        ...

    def create_empty(self, worker: str) -> str:
        """The name of a new, empty database."""
        ...

    def drop_empty(self, name: str) -> None:
        """Drop what `create_empty` made."""
        ...

    def note(self, text: str) -> None:
        """Have the header say ``text`` too."""
        ...

    def abort(self, error: HarnessError) -> None:
        """End the whole run with ``error``, shown once."""
        ...


class Run:
    """The run as the controller sees it. Safe to call from several threads.

    Args:
        config: The resolved options.
    """

    def __init__(self, config: Config) -> None:
        from pgharness.server.choose import reserve  # noqa: PLC0415 - light, but not for --version

        self.config = config
        self.id = secrets.token_hex(4)
        self.reservation = reserve(dataclasses.replace(config, port=0))  # pg_port is the proxy's
        self.facts: Facts | None = None
        self.failure: HarnessError | None = None
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._databases: Any = None
        self._claims: Any = None
        self._clones: dict[str, str] = {}
        self._closed = False

    def take_port(self, port: int) -> None:
        """Have the server itself at ``port``, where no proxy is."""
        from pgharness.server.choose import reserve  # noqa: PLC0415 - light, but not for --version

        self.reservation.close()
        self.reservation = reserve(dataclasses.replace(self.config, port=port))

    def prepare(self) -> Facts:
        """Start the server and build the template, once; later calls return or raise the same.

        Raises:
            HarnessError: No server, or the schema cannot be built.
        """
        with self._lock:
            if self.failure is not None:
                raise self.failure
            if self.facts is None:
                try:
                    self.facts = self._prepare()
                except HarnessError as error:
                    self.failure = error
                    self.close()
                    raise
            return self.facts

    def _prepare(self) -> Facts:
        from pgharness.databases.claims import Claims  # noqa: PLC0415 - loads asyncpg
        from pgharness.databases.databases import Databases  # noqa: PLC0415 - the same
        from pgharness.schema.find import find  # noqa: PLC0415 - only runs that need a database
        from pgharness.server.choose import start  # noqa: PLC0415 - loads what the backend needs

        schema = find(self.config)
        began = time.perf_counter()
        server = self._server = start(self.config, self.reservation)
        started = time.perf_counter() - began
        config = self.config
        if config.clock == "auto":
            config = dataclasses.replace(config, clock="on" if server.superuser else "off")
        self._databases = Databases(server, run_id=self.id, config=config)
        owner = self._databases.open()
        self._claims = Claims(server, owner.user)
        template = self._databases.template(dataclasses.replace(schema, config=config))
        told = server.backend, server.version, server.detail, server.owned, server.address
        return Facts(
            server=ServerFacts(*told, clock=config.clock == "on", owner=owner),
            tried=server.tried,
            start_seconds=started,
            no_schema=schema.kind == "empty" and self.config.migrations != "none",
            template=template.fingerprint,
            template_hit=template.hit,
            template_seconds=template.seconds,
        )

    def database(self, worker: str) -> WorkerDatabase:
        with self._lock:
            facts = self.prepare()
            if worker not in self._clones:
                self._clones[worker] = self._databases.clone(worker)
                facts.clones += 1
            return WorkerDatabase(self._clones[worker], facts.server)

    def take(self, worker: str) -> str:
        name = str(self._databases.take(worker))  # workers do not wait for each other
        with self._lock:
            if self.facts is not None:
                self.facts.clones += 1
        return name

    def give_back(self, worker: str, name: str) -> None:
        self._databases.give_back(worker, name)

    def copy(self, worker: str, name: str) -> str:
        return str(self._databases.copy(worker, name))

    def keep(self, worker: str, name: str) -> None:
        self._databases.keep(worker, name)

    def forget(self, worker: str) -> None:
        self._databases.forget(worker)

    def drop(self, worker: str, name: str) -> None:
        self._databases.drop_clone(worker, name)

    def claim(self, worker: str) -> None:
        self._claims.claim(worker)

    def restore(self, worker: str, said: Sequence[str]) -> None:
        self._claims.restore(worker, said)

    def create_empty(self, worker: str) -> str:
        with self._lock:
            self.prepare()
            return str(self._databases.create_empty(worker))

    def drop_empty(self, name: str) -> None:
        with self._lock:
            self._databases.drop_empty(name)

    def note(self, text: str) -> None:
        with self._lock:
            if self.facts is not None:
                self.facts.note = text

    def abort(self, error: HarnessError) -> None:
        with self._lock:
            self.failure = self.failure or error

    def close(self) -> None:
        """Drop what this run made and stop what it started. Safe to call twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                if self._claims is not None:
                    self._claims.close()
                if self._databases is not None and self._server is not None:
                    if self._server.owned:
                        self._databases.abandon()
                    else:
                        self._databases.close()
            finally:
                if self._server is not None:
                    self._server.stop()
                self.reservation.close()
