"""Clones that are made ahead, one for each test with real commits."""

from __future__ import annotations

import asyncio
import threading

import pytest

from pgharness.config import Config
from pgharness.databases import names
from pgharness.databases.databases import Databases
from pgharness.schema.find import find
from pgharness.server.background import background
from tests.support.schema_projects import BARE, databases, ended, execute, fetch, hold, tables

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


def settle(run: Databases, worker: str) -> list[str]:
    """The clones of ``worker`` on the server, once nothing is under way."""
    clones = run._clones[worker]

    async def wait() -> None:
        await asyncio.sleep(0.01)  # what is begun a moment later
        while tasks := {task for task in (clones._making, clones._dropping) if task and not task.done()}:
            await asyncio.wait(tasks)

    background.run(wait())
    return [found for found in databases(run.server.address) if names.is_spare(found, "run1", worker)]


def test_every_clone_is_fresh_and_none_is_given_twice(run: Databases, config: Config) -> None:
    run.template(find(config))
    taken = []
    for _ in range(5):
        taken.append(run.take("gw0"))
        assert fetch(run.server.address, taken[-1], "SELECT id FROM users") == [(7,)]
        execute(run.server.address, taken[-1], "DELETE FROM users", "CREATE TABLE dirt ()")
        run.give_back("gw0", taken[-1])

    assert len(set(taken)) == 5
    assert not {*taken} & {*settle(run, "gw0")}
    run.close()
    assert {found for found in databases(run.server.address) if "run1" in found} == set()


def test_what_is_given_back_goes_whoever_is_connected(run: Databases, config: Config) -> None:
    run.template(find(config))
    taken = run.take("gw0")
    busy = hold(run.server.address, taken)

    run.give_back("gw0", taken)

    assert taken not in settle(run, "gw0")
    assert ended(run.server, busy)


def test_a_clone_that_its_test_has_dropped(run: Databases, config: Config) -> None:
    run.template(find(config))
    taken = run.take("gw0")
    execute(run.server.address, "postgres", f"DROP DATABASE {taken}")

    run.give_back("gw0", taken)

    assert fetch(run.server.address, run.take("gw0"), "SELECT id FROM users") == [(7,)]


def test_one_clone_is_ready_and_another_after_each_wait(run: Databases, config: Config) -> None:
    run.template(find(config))

    run.take("gw0")
    ready = [len(settle(run, "gw0")) - 1]
    run.take("gw0")
    ready.append(len(settle(run, "gw0")) - 2)
    for _ in range(8):
        run.take("gw0")
    ready.append(len(settle(run, "gw0")) - 10)

    assert ready[:2] == [1, 1]
    assert 2 <= ready[2] <= 4


def test_clones_are_made_from_what_is_kept(run: Databases, config: Config) -> None:
    run.template(find(config))
    made = []
    for name in ("of_module", "of_class"):
        database = run.take("gw0")
        execute(run.server.address, database, f"CREATE TABLE {name} ()")
        made.append(run.copy("gw0", database))
        run.keep("gw0", made[-1])

    both = {"public.users", "public.of_module", "public.of_class"}
    assert [tables(run.server.address, run.take("gw0")) for _ in range(2)] == [both] * 2
    run.forget("gw0")
    assert tables(run.server.address, run.take("gw0")) == {"public.users", "public.of_module"}
    run.forget("gw0")
    assert tables(run.server.address, run.take("gw0")) == {"public.users"}
    assert not {*made} & {*settle(run, "gw0")}


def test_what_was_made_ahead_before_something_is_kept_is_not_given(run: Databases, config: Config) -> None:
    run.template(find(config))
    database = run.take("gw0")
    ahead = {*settle(run, "gw0")} - {database}
    execute(run.server.address, database, "CREATE TABLE of_module ()")
    made = run.copy("gw0", database)
    run.keep("gw0", made)

    assert tables(run.server.address, run.take("gw0")) == {"public.users", "public.of_module"}
    assert len(ahead) == 1
    assert not ahead & {*settle(run, "gw0")}


def test_a_copy_is_as_the_database_stands_whoever_is_connected(run: Databases, config: Config) -> None:
    run.template(find(config))
    database = run.clone("gw0")
    execute(run.server.address, database, "CREATE TABLE early ()")
    busy = hold(run.server.address, database)

    made = run.copy("gw0", database)
    execute(run.server.address, database, "CREATE TABLE late ()")

    assert ended(run.server, busy)
    assert tables(run.server.address, made) == {"public.users", "public.early"}
    assert tables(run.server.address, database) == {"public.users", "public.early", "public.late"}


def test_workers_take_at_the_same_time(run: Databases, config: Config) -> None:
    run.template(find(config))
    taken: list[str] = []
    threads = [
        threading.Thread(target=lambda worker=worker: taken.append(run.take(worker)))
        for worker in ("gw0", "gw1", "gw2") * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({*taken}) == 9
    assert [fetch(run.server.address, name, "SELECT id FROM users") for name in taken] == [[(7,)]] * 9


def test_drop_takes_what_was_made_ahead_too(run: Databases, config: Config) -> None:
    template = run.template(find(config))
    kept = run.clone("gw1")
    run.clone("gw0")
    run.take("gw0")

    run.drop("gw0")
    run.drop("gw0")

    assert databases(run.server.address) == {*BARE, template.name, kept}
