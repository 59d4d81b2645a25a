"""The harness of one pytest process: what the hooks and the fixtures share.

In the controller, and without xdist, it owns the `Run`; in an xdist worker it asks the controller.
Between the two lies one environment variable, set for direct children of the controller only.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pgharness.config import Config
from pgharness.databases.names import worker_database_name
from pgharness.errors import HarnessError
from pgharness.proxy.control import LOOPBACK, Control
from pgharness.proxy.registry import Folder
from pgharness.proxy.security import Security
from pgharness.runs.environment import Environment
from pgharness.runs.isolating import Isolating
from pgharness.server import failures
from pgharness.server.base import Address
from pgharness.tiers import guard

if TYPE_CHECKING:
    from pgharness.runs.attempts import Attempts
    from pgharness.runs.early import Early
    from pgharness.runs.needing import Needing
    from pgharness.runs.run import WorkerDatabase

KEY: pytest.StashKey[Harness] = pytest.StashKey()
FAILED: pytest.StashKey[bool] = pytest.StashKey()
"""Set on a test that has failed."""
_HANDOVER = "_PGHARNESS_RUN"


class Harness:
    """The harness of this process.

    Args:
        config: The resolved options.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.run: Any = None
        self.remote: Any = None
        self.controller: Any = None
        self.worker: Any = None
        self.app: Any = None
        self.announced = False
        self.http: Any = None
        self.needing: Needing | None = None
        self.attempts: Attempts | None = None
        self.early: Early | None = None
        self.isolating = Isolating()
        self.is_foretold = False
        """Whether a test is known to use the database before one runs."""
        self._starting = threading.RLock()
        self._folder = Folder()
        self.environment = Environment()
        handover = _handover(os.environ)
        if handover is None:
            from pgharness.runs.run import Run  # noqa: PLC0415 - not for a worker

            self.worker_name = "main"
            self.run = Run(config)
            self.run_id, self.server_address = self.run.id, self.run.reservation.address
        else:
            self.worker_name = os.environ["PYTEST_XDIST_WORKER"]
            self.run_id, self.server_address = handover["run"], Address(**handover["server"])
            self._handover = handover
        self.control = Control(_loopback(self.worker_name) if config.port else LOOPBACK, config.port)
        self.address = Address(
            self.control.host,
            self.control.port,
            config.role,
            self.control.password,
            self.server_address.database,
        )
        """What the app is told: the proxy's."""
        self._security = Security(config.env, self._folder)
        self.set_environment(self.address)

    # -- environment --------------------------------------------------------------------------------

    def set_environment(self, address: Address) -> None:
        """Set the variables of ``pg_env``, before any conftest or module of the app is imported."""
        values = address.template_values(worker_database_name(self.run_id, self.worker_name))
        values["sslrootcert"] = self._security.authority
        for line in self.config.env:
            name, _, template = line.partition("=")
            self.environment.set(name.strip(), template.strip().format_map(values))

    def serve_directly(self) -> WorkerDatabase:
        """Tell the app the server's own address: no test runs, so nothing has to stand between.

        Raises:
            HarnessError: There is no server, or the schema cannot be built.
        """
        self._end_early()
        self.control.close()
        self.run.take_port(self.config.port)
        self.server_address = self.run.reservation.address
        database: WorkerDatabase = self.provider.database(self.worker_name)
        self.set_environment(database.server.owner or database.server.address)
        return database

    def listen(self) -> None:
        """Answer xdist workers, and tell the ones to come how to ask."""
        from pgharness.runs.controller import Controller  # noqa: PLC0415 - only under xdist

        self.controller = Controller(self.run)
        address = self.server_address
        handover = {
            "pid": os.getpid(),
            "run": self.run_id,
            "address": self.controller.address,
            "key": self.controller.key.hex(),
            "server": {name: getattr(address, name) for name in Address.__slots__},
        }
        self.environment.set(_HANDOVER, json.dumps(handover))

    # -- the worker's database -------------------------------------------------------------------------

    @property
    def provider(self) -> Any:
        """The run, or the way to ask the controller for it."""
        if self.run is not None:
            return self.run
        if self.remote is None:
            from pgharness.runs.controller import RemoteRun  # noqa: PLC0415 - only in workers

            self.remote = RemoteRun(self._handover["address"], bytes.fromhex(self._handover["key"]))
        return self.remote

    def wait_early(self) -> None:
        """Have who connects before the server has been started wait for it."""
        if not self.control.is_taken:
            from pgharness.runs.early import Early  # noqa: PLC0415 - not for those who have not adopted it

            self.early = Early(self.control, self.get_worker)

    def _end_early(self) -> None:
        early, self.early = self.early, None
        if early is not None:
            early.end()

    def wait_no_more(self) -> None:
        """The tests have been imported: no server is started that they do not ask for."""
        early, self.early = self.early, None
        if early is not None:
            early.end()
            if self.worker is None:
                self.control.unlisten()
            if early.error is not None:
                raise early.error

    def get_worker(self) -> Any:
        """This process's `Worker`, its database cloned when first asked for."""
        with self._starting:
            return self._get_worker()

    def _get_worker(self) -> Any:
        if self.worker is None:
            from pgharness.runs.worker import Worker  # noqa: PLC0415 - loads SQLAlchemy

            if self.control.is_taken:
                raise failures.port_taken(self.address)
            options = self._security.options(os.environ, self.control.port)
            options["waits"] = True
            worker = Worker(self.worker_name, self.config, self.provider, self.control, options)
            self.isolating.started(worker)
            self.control.tell("accept")
            self.worker = worker
            self._folder.announce(self.address, self.worker.database)
        return self.worker

    def abort(self, error: HarnessError) -> None:
        """End the whole run with ``error``, shown once, as a usage error.

        Raises:
            pytest.UsageError: In the controller; a worker leaves it to the controller.
        """
        if self.run is not None:
            raise usage_error(error)
        self.provider.abort(error)

    def refuse(self, test_id: str) -> None:
        """``test_id`` runs, and is not isolated: it may not use the database."""
        if self.worker is not None:
            with contextlib.suppress(HarnessError):  # a proxy that has ended is no matter to this test
                self.worker.refuse(test_id)

    @property
    def early_error(self) -> HarnessError | None:
        """Why the server could not be started for somebody who has connected."""
        return self.early.error if self.early is not None else None

    # -- the running test ---------------------------------------------------------------------------

    def remember(self, config: pytest.Config) -> Needing:
        """Have what is known of tests that need real commits read, and kept at the end.

        Raises:
            ConfigError: The file that is named for it is no such list.
        """
        if self.needing is None:
            from pgharness.runs.needing import Needing  # noqa: PLC0415 - only where tests are isolated

            file = self.config.path(self.config.real_commits) if self.config.real_commits else None
            self.needing = Needing(config, file)
            config.pluginmanager.register(self.needing, "pgharness-needing")
        return self.needing

    def attempt(self, config: pytest.Config) -> None:
        """Have tests begin with rollback, and run again with real commits where they need them.

        Raises:
            ConfigError: As `remember`.
        """
        if self.attempts is None:
            from pgharness.runs.attempts import Attempts  # noqa: PLC0415 - only where tests are isolated

            self.attempts = Attempts(self, self.remember(config))
            config.pluginmanager.register(self.attempts, "pgharness-attempts")

    def allowed(self, extra: tuple[str, ...] = ()) -> frozenset[str]:
        own = [(address.host, address.port) for address in (self.address, self.server_address)]
        return guard.allowed_hosts(own, (*self.config.allow_hosts, *extra))

    def get_http(self) -> Any:
        """The respx router of this process, patched into httpx when first asked for."""
        if self.http is None:
            from pgharness.tiers.http import ExternalHttp  # noqa: PLC0415 - loads httpx and respx

            self.http = ExternalHttp()
            self.http.start()
        return self.http

    # -- the end ------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop and remove everything this process started. Safe to call twice."""
        self._end_early()
        try:
            if self.http is not None:
                self.http.stop()
                self.http = None
            if self.worker is not None:
                self.worker.close()
                self.worker = None
            self.control.close()
            self._folder.remove()
            if self.remote is not None:
                self.remote.close()
                self.remote = None
        finally:
            if self.controller is not None:
                self.controller.close()
                self.controller = None
            if self.run is not None:
                self.run.close()
            guard.remove()
            self.environment.restore()


def _loopback(worker: str) -> str:
    """The address of loopback for ``worker``, where all of them are to have the same port."""
    number = worker.removeprefix("gw")
    return f"127.0.0.{2 + int(number) % 250}" if number.isdecimal() else LOOPBACK


def _handover(environ: Mapping[str, str]) -> dict[str, Any] | None:
    """What the controller left for this process, if it is its direct child and an xdist worker."""
    text = environ.get(_HANDOVER)
    if not text or "PYTEST_XDIST_WORKER" not in environ:
        return None
    handover: dict[str, Any] = json.loads(text)
    return handover if handover["pid"] == os.getppid() else None


def harness_of(request: pytest.FixtureRequest) -> Harness:
    """The harness of this process.

    No fixture: each test's own would leave a finalizer with one of session scope, for ever.
    """
    return request.config.stash[KEY]


def usage_error(error: HarnessError) -> pytest.UsageError:
    return pytest.UsageError(str(error))
