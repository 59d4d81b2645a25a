"""A worker of a project's own, with a proxy of its own, on the suite's server."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from pgharness.config import Config
from pgharness.databases.databases import Databases
from pgharness.runs.harness import KEY
from pgharness.runs.run import ServerFacts, WorkerDatabase
from pgharness.runs.worker import Worker
from pgharness.schema.find import find
from pgharness.server.base import Address
from tests.support.in_this_process import InThisProcess
from tests.support.scratch_server import FoundServer


class OwnDatabases:
    """Databases of a template of ``config`` on the suite's server; what a `Worker` needs of a run."""

    def __init__(self, config: Config, suite: pytest.Config) -> None:
        harness = suite.stash[KEY]
        facts: ServerFacts = harness.get_worker().server
        self.config = config
        self.address: Address = facts.address
        self.facts = ServerFacts("external", facts.version, "", owned=False, address=facts.address)
        run = f"{harness.run_id[:4]}{harness.worker_name}{secrets.token_hex(2)}"
        self.databases = Databases(FoundServer(facts.address, facts.version), run_id=run, config=config)
        self.databases.open()
        self.databases.template(find(config))

    def database(self, worker: str) -> WorkerDatabase:
        return WorkerDatabase(self.databases.clone(worker), self.facts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.databases, name)


@contextlib.contextmanager
def own_databases(config: Config, suite: pytest.Config) -> Iterator[OwnDatabases]:
    made = OwnDatabases(config, suite)
    try:
        yield made
    finally:
        made.databases.close()


@contextlib.contextmanager
def own_worker(databases: OwnDatabases) -> Iterator[Worker]:
    """A worker on a clone; what connects to its address joins while its `test` runs."""
    databases.drop("own")  # with what an earlier one has kept of its wider scopes
    control = InThisProcess()
    made = Worker("own", databases.config, databases, control, {})
    try:
        yield made
    finally:
        made.close()
        control.close()
