"""One run of pytest: the server, the template and the workers' databases, each made when first needed.

The controller owns a `Run`. xdist workers hold a `RemoteRun`, which asks the controller over a
local socket; so there is one server however many workers, and the controller alone creates and
drops databases.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from multiprocessing.connection import Client, Listener
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
    start_seconds: float
    template: str = ""
    template_hit: bool = False
    template_seconds: float = 0.0
    clones: int = 0


class Provider(Protocol):
    """What a worker needs of the run, be it in this process or in the controller."""

    def database(self, worker: str) -> WorkerDatabase:
        """The clone of ``worker``, made when first asked for."""
        ...

    def restore(self, worker: str) -> None:
        """Replace the worker's database by a fresh clone of the same name."""
        ...

    def create_empty(self, worker: str) -> str:
        """The name of a new, empty database."""
        ...

    def drop_empty(self, name: str) -> None:
        """Drop what `create_empty` made."""
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
        self.reservation = reserve(config)
        self.facts: Facts | None = None
        self.failure: HarnessError | None = None
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._databases: Any = None
        self._clones: dict[str, str] = {}
        self._closed = False

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
        from pgharness.databases import Databases  # noqa: PLC0415 - loads asyncpg
        from pgharness.schema import find  # noqa: PLC0415 - only runs that need a database
        from pgharness.server.choose import start  # noqa: PLC0415 - loads what the backend needs

        schema = find(self.config)
        began = time.perf_counter()
        server = self._server = start(self.config, self.reservation)
        started = time.perf_counter() - began
        self._databases = Databases(server, run_id=self.id, config=self.config)
        self._databases.open()
        template = self._databases.template(schema)
        return Facts(
            server=ServerFacts(
                server.backend, server.version, server.detail, server.owned, server.address
            ),
            tried=server.tried,
            start_seconds=started,
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

    def restore(self, worker: str) -> None:
        with self._lock:
            self._databases.restore(worker)
            if self.facts is not None:
                self.facts.clones += 1

    def create_empty(self, worker: str) -> str:
        with self._lock:
            self.prepare()
            return str(self._databases.create_empty(worker))

    def drop_empty(self, name: str) -> None:
        with self._lock:
            self._databases.drop_empty(name)

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
                if self._databases is not None and self._server is not None:
                    if self._server.owned:
                        self._databases.abandon()
                    else:
                        self._databases.close()
            finally:
                if self._server is not None:
                    self._server.stop()
                self.reservation.close()


class Controller:
    """Answers the workers' questions from a thread of its own.

    Args:
        run: The run they ask about.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.key = secrets.token_bytes(16)
        self._listener = Listener(authkey=self.key)
        self._closing = False
        threading.Thread(target=self._accept, name="pgharness-controller", daemon=True).start()

    @property
    def address(self) -> Any:
        return self._listener.address

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection = self._listener.accept()
            except Exception:  # noqa: BLE001 - closed, or a stranger without the key
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: Any) -> None:
        with connection:
            while True:
                try:
                    name, args = connection.recv()
                except (EOFError, OSError):
                    return
                try:
                    answer = True, getattr(self._run, name)(*args)
                except HarnessError as error:
                    answer = False, error
                except Exception as error:  # noqa: BLE001 - the worker must not wait for ever
                    answer = False, HarnessError(f"{name} failed in the controller: {error!r}.")
                connection.send(answer)

    def close(self) -> None:
        self._closing = True
        self._listener.close()


class RemoteRun:
    """The run as an xdist worker sees it.

    Args:
        address: The controller's `Controller.address`.
        key: The controller's `Controller.key`.
    """

    def __init__(self, address: Any, key: bytes) -> None:
        self._connection = Client(address, authkey=key)
        self._lock = threading.Lock()

    def _ask(self, name: str, *args: Any) -> Any:
        with self._lock:
            self._connection.send((name, args))
            done, answer = self._connection.recv()
        if not done:
            raise answer
        return answer

    def database(self, worker: str) -> WorkerDatabase:
        answer: WorkerDatabase = self._ask("database", worker)
        return answer

    def restore(self, worker: str) -> None:
        self._ask("restore", worker)

    def create_empty(self, worker: str) -> str:
        return str(self._ask("create_empty", worker))

    def drop_empty(self, name: str) -> None:
        self._ask("drop_empty", name)

    def abort(self, error: HarnessError) -> None:
        self._ask("abort", error)

    def close(self) -> None:
        self._connection.close()
