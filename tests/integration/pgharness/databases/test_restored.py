"""Databases made anew between tests, and those made ahead for that."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pgharness.config import Config
from pgharness.databases import names
from pgharness.databases.databases import Databases
from pgharness.databases.names import worker_database_name
from pgharness.schema.find import find
from pgharness.server.background import background
from tests.support.schema_projects import (
    BARE,
    databases,
    ended,
    execute,
    fetch,
    hold,
    tables,
)

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


def test_a_database_is_restored_under_its_name_again_and_again(run: Databases, config: Config) -> None:
    run.template(find(config))
    name = run.clone("gw0")

    for _ in range(5):
        busy = hold(run.server.address, name)
        execute(run.server.address, name, "DELETE FROM users", "CREATE TABLE dirt ()")
        run.restore("gw0")
        assert ended(run.server, busy)
        assert fetch(run.server.address, name, "SELECT id FROM users") == [(7,)]
        assert tables(run.server.address, name) == {"public.users"}

    run.close()
    assert {found for found in databases(run.server.address) if "run1" in found} == set()


def test_restore_makes_a_database_that_is_not_there(run: Databases, config: Config) -> None:
    run.template(find(config))

    run.restore("gw3")

    assert tables(run.server.address, worker_database_name("run1", "gw3")) == {"public.users"}


def test_restore_works_after_what_it_made_ahead_is_gone(run: Databases, config: Config) -> None:
    run.template(find(config))
    name = run.clone("gw0")
    run.restore("gw0")
    for spare in made_ahead(run, "gw0"):
        execute(run.server.address, "postgres", f"DROP DATABASE IF EXISTS {spare} WITH (FORCE)")

    run.restore("gw0")

    assert fetch(run.server.address, name, "SELECT id FROM users") == [(7,)]


def test_restore_works_after_the_test_has_dropped_its_own_database(run: Databases, config: Config) -> None:
    run.template(find(config))
    name = run.clone("gw0")
    for _ in range(2):
        run.restore("gw0")
        execute(run.server.address, "postgres", f"DROP DATABASE {name} WITH (FORCE)")

    run.restore("gw0")

    assert fetch(run.server.address, name, "SELECT id FROM users") == [(7,)]


def made_ahead(run: Databases, worker: str) -> list[str]:
    """The clones that ``worker`` holds ready, once nothing is under way."""
    clones = run._clones[worker]

    async def settle() -> None:
        await clones.stock()  # which a restore leaves for a moment later
        while tasks := {task for task in (clones._making, clones._dropping) if task and not task.done()}:
            await asyncio.wait(tasks)

    background.run(settle())
    return [found for found in databases(run.server.address) if names.is_spare(found, "run1", worker)]


def test_a_stocked_worker_has_one_clone_ready_and_another_after_each_wait(
    run: Databases, config: Config
) -> None:
    run.template(find(config))
    run.clone("gw0")

    run.stock("gw0")
    ready = [len(made_ahead(run, "gw0"))]
    run.restore("gw0")
    ready.append(len(made_ahead(run, "gw0")))
    for _ in range(8):
        run.restore("gw0")
    ready.append(len(made_ahead(run, "gw0")))

    assert ready[:2] == [1, 1]
    assert 2 <= ready[2] <= 4


def test_workers_are_restored_at_the_same_time(run: Databases, config: Config) -> None:
    run.template(find(config))
    workers = ["gw0", "gw1", "gw2"]
    names = [run.clone(worker) for worker in workers]
    for name in names:
        execute(run.server.address, name, "DELETE FROM users")

    threads = [threading.Thread(target=run.restore, args=(worker,)) for worker in workers for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [fetch(run.server.address, name, "SELECT id FROM users") for name in names] == [[(7,)]] * 3


def test_drop_takes_what_was_made_ahead_too(run: Databases, config: Config) -> None:
    template = run.template(find(config))
    kept = run.clone("gw1")
    run.clone("gw0")
    run.restore("gw0")

    run.drop("gw0")
    run.drop("gw0")

    assert databases(run.server.address) == {*BARE, template.name, kept}
