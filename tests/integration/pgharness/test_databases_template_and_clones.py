"""One run's life on a server: template, clones, restores, and what it leaves."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pgharness import ledger, names
from pgharness.background import background
from pgharness.config import Config
from pgharness.databases import Databases, worker_database_name
from pgharness.errors import DatabaseError, SchemaError
from pgharness.schema import find
from pgharness.server.base import Server
from tests.support.schema_projects import (
    ASYNC_ENV,
    abort,
    alembic_project,
    configure,
    databases,
    execute,
    fetch,
    hold,
    tables,
    write,
)
from tests.support.scratch_server import FoundServer, scratch_server

BARE = {"postgres", "template0", "template1"}


pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with scratch_server() as running:
        yield running


@pytest.fixture
def clean(server: Server) -> Iterator[Server]:
    """The server, on which a test leaves nothing."""
    yield server
    for name in databases(server.address) - BARE:
        execute(
            server.address,
            "postgres",
            f'ALTER DATABASE "{name}" IS_TEMPLATE false',
            f'DROP DATABASE "{name}" WITH (FORCE)',
        )


@pytest.fixture
def config(tmp_path: Path) -> Config:
    write(tmp_path, "schema.sql", "CREATE TABLE users (id serial PRIMARY KEY); INSERT INTO users VALUES (7);")
    return configure(tmp_path, sql=["schema.sql"])


@pytest.fixture
def run(clean: Server, config: Config) -> Iterator[Databases]:
    opened = Databases(clean, run_id="run1", config=config)
    opened.open()
    yield opened
    opened.close()


def test_built_once_then_found(run: Databases, config: Config) -> None:
    schema = find(config)

    first, second = run.template(schema), run.template(schema)

    assert (first.hit, second.hit) == (False, True)
    assert first.name == second.name == f"pgh_t_{schema.fingerprint(run.server.major)}"
    assert first.fingerprint == schema.fingerprint(run.server.major)
    assert 0 < second.seconds < first.seconds
    assert databases(run.server.address) == {*BARE, first.name}


def test_nobody_can_connect_to_a_template(run: Databases, config: Config) -> None:
    template = run.template(find(config))

    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        hold(run.server.address, template.name)


def test_a_template_outlives_the_run_and_its_clones_do_not(
    run: Databases, config: Config, clean: Server
) -> None:
    template = run.template(find(config))
    name = run.clone("gw0")
    busy = hold(clean.address, name)

    run.close()
    run.close()

    assert databases(clean.address) == {*BARE, template.name}
    assert ended(clean, busy)


def ended(server: Server, connection: asyncpg.Connection[Any]) -> bool:
    pid = connection.get_server_pid()
    backends = fetch(server.address, "postgres", "SELECT FROM pg_stat_activity WHERE pid = $1", pid)
    abort(connection)
    return backends == []


def test_a_template_built_by_real_migrations(tmp_path: Path, clean: Server) -> None:
    config = configure(alembic_project(tmp_path, env=ASYNC_ENV))
    run = Databases(clean, run_id="run1", config=config)
    run.open()

    run.template(find(config))
    name = run.clone("gw0")

    assert tables(clean.address, name) == {"public.users", "public.alembic_version"}
    run.close()


def test_a_clone_has_the_name_known_before_and_the_template_s_content(run: Databases, config: Config) -> None:
    run.template(find(config))

    name = run.clone("gw0")

    assert name == worker_database_name("run1", "gw0") == "pgh_run1_gw0_test"
    assert fetch(run.server.address, name, "SELECT id FROM users") == [(7,)]


def test_a_clone_made_again_is_fresh(run: Databases, config: Config) -> None:
    run.template(find(config))
    execute(run.server.address, run.clone("gw0"), "DELETE FROM users")

    name = run.clone("gw0")

    assert fetch(run.server.address, name, "SELECT id FROM users") == [(7,)]


def test_clones_before_the_template_are_a_mistake_of_the_harness(run: Databases) -> None:
    for method in (run.clone, run.restore):
        with pytest.raises(RuntimeError, match="template comes before clone and restore"):
            method("gw0")


def test_nothing_works_before_open(clean: Server, config: Config) -> None:
    with pytest.raises(RuntimeError, match="Databases is not open"):
        Databases(clean, run_id="run1", config=config).template(find(config))


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
    workshop = run._workshops[worker]

    async def settle() -> None:
        await workshop.stock()  # which a restore leaves for a moment later
        while tasks := {task for task in (workshop._making, workshop._dropping) if task and not task.done()}:
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


def test_an_empty_database_beside_the_worker_s_own(run: Databases, config: Config) -> None:
    template = run.template(find(config))

    one, two = run.create_empty("gw0"), run.create_empty("gw0")

    assert one != two
    assert tables(run.server.address, one) == set()
    run.drop_empty(one)
    assert databases(run.server.address) == {*BARE, template.name, two}
    run.close()
    assert databases(run.server.address) == {*BARE, template.name}


def test_what_an_abandoned_run_leaves_is_swept_by_the_next(
    run: Databases, config: Config, clean: Server
) -> None:
    template = run.template(find(config))
    name = run.clone("gw0")
    run.restore("gw0")

    run.abandon()
    run.abandon()

    assert name in databases(clean.address)
    following = Databases(clean, run_id="next1", config=config)
    following.open()
    assert databases(clean.address) == {*BARE, template.name}
    following.close()


def test_settings_that_the_schema_gives_its_database_are_in_the_clones(tmp_path: Path, clean: Server) -> None:
    write(
        tmp_path,
        "schema.sql",
        """
        CREATE SCHEMA shop;
        DO $$ BEGIN
          EXECUTE format('ALTER DATABASE %I SET search_path TO shop, "$user"', current_database());
          EXECUTE format('ALTER DATABASE %I SET timezone TO %L', current_database(), 'Asia/Tokyo');
        END $$;
        """,
    )
    config = configure(tmp_path, sql=["schema.sql"])
    run = Databases(clean, run_id="run1", config=config)
    run.open()
    run.template(find(config))
    name = run.clone("gw0")
    run.restore("gw0")

    shown = fetch(clean.address, name, "SELECT current_setting('search_path'), current_setting('timezone')")

    assert shown == [('shop, "$user"', "Asia/Tokyo")]
    run.close()


def test_a_failed_build_leaves_nothing_and_is_never_a_hit(tmp_path: Path, clean: Server) -> None:
    write(tmp_path, "schema.sql", "CREATE TABLE a (); SELECT 1/0;")
    config = configure(tmp_path, sql=["schema.sql"])
    run = Databases(clean, run_id="run1", config=config)
    run.open()

    for _ in range(2):
        with pytest.raises(SchemaError, match=r"^pgharness: schema.sql, line 1, failed: division by zero"):
            run.template(find(config))
        assert databases(clean.address) == BARE

    run.close()


def test_a_marked_template_that_is_not_finished_is_built_again(run: Databases, config: Config) -> None:
    template = run.template(find(config))
    execute(
        run.server.address,
        "postgres",
        f"ALTER DATABASE {template.name} IS_TEMPLATE false ALLOW_CONNECTIONS true",
    )
    execute(run.server.address, template.name, "DROP TABLE users")

    again = run.template(find(config))

    assert again.hit is False
    assert tables(run.server.address, run.clone("gw0")) == {"public.users"}


def test_a_template_in_use_is_noted_once_an_hour(run: Databases, config: Config, clean: Server) -> None:
    template = run.template(find(config))
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1"

    def mark() -> ledger.Mark:
        found = ledger.Mark.from_json(fetch(clean.address, "postgres", query, template.name)[0][0])
        assert found is not None
        return found

    built = mark()
    run.template(find(config))
    assert mark() == built

    old = dataclasses.replace(built, used=built.used - dt.timedelta(hours=2))
    execute(clean.address, "postgres", f"COMMENT ON DATABASE {template.name} IS '{old.to_json()}'")
    run.template(find(config))
    assert mark().used > built.used
    assert mark().created == built.created


def _template_and_clone(run: Databases, config: Config) -> None:
    run.template(find(config))
    run.clone("gw0")


@pytest.mark.parametrize("kind", ["template", "worker", "build"])
def test_a_database_of_that_name_without_the_mark(run: Databases, config: Config, kind: str) -> None:
    fingerprint = find(config).fingerprint(run.server.major)
    name = {
        "template": names.template_name(fingerprint),
        "worker": worker_database_name("run1", "gw0"),
        "build": names.build_name(fingerprint, "run1"),
    }[kind]
    execute(run.server.address, "postgres", f"CREATE DATABASE {name}")
    execute(run.server.address, name, "CREATE TABLE precious ()")

    with pytest.raises(DatabaseError) as caught:
        _template_and_clone(run, config)

    assert str(caught.value) == (
        f"pgharness: database '{name}' exists on 127.0.0.1:{run.server.address.port}, "
        "and the harness did not make it.\n"
        "It carries no mark of the harness, so it is left alone.\n"
        f'To fix this: drop or rename it yourself: DROP DATABASE "{name}"'
    )
    run.close()
    assert tables(run.server.address, name) == {"public.precious"}


def test_a_second_run_of_the_same_name(run: Databases, config: Config, clean: Server) -> None:
    with pytest.raises(DatabaseError) as caught:
        Databases(clean, run_id="run1", config=config).open()

    assert str(caught.value) == (
        f"pgharness: a run named 'run1' is alive on 127.0.0.1:{clean.address.port} already.\n"
        "Two runs of one name would drop each other's databases.\n"
        "To fix this: give each run a name of its own"
    )


def test_a_build_that_another_run_does_not_end(clean: Server, config: Config) -> None:
    schema = find(config)
    other = hold(clean.address, "postgres")
    lock = ledger.key("build", schema.fingerprint(clean.major))
    background.run(other.execute("SELECT pg_advisory_lock($1)", lock))
    run = Databases(clean, run_id="run1", config=config, build_wait=0.05)
    run.open()

    with pytest.raises(DatabaseError) as caught:
        run.template(schema)

    assert str(caught.value) == (
        f"pgharness: another run has been building template 'pgh_t_{schema.fingerprint(clean.major)}' "
        "for more than 0.05 s.\n"
        "Checked:\n"
        f"  - the lock is held by process {other.get_server_pid()} pgharness\n"
        "To fix this, either:\n"
        "  - wait until that run ends, then run again\n"
        "  - end that run"
    )
    background.run(other.close())
    assert run.template(schema).hit is False
    run.close()


def test_a_server_that_is_gone(config: Config) -> None:
    with scratch_server() as server:
        run = Databases(server, run_id="run1", config=config)
        run.open()
        run.template(find(config))
        run.clone("gw0")
        run.restore("gw0")
    where = f"127.0.0.1:{server.address.port}"

    with pytest.raises(DatabaseError, match=f"^pgharness: the server on {where} does not answer: "):
        run.clone("gw0")
    run.close()
    run.close()
    with pytest.raises(DatabaseError, match=f"^pgharness: the server on {where} does not answer: "):
        Databases(server, run_id="run1", config=config).open()


def test_a_role_that_may_only_create_databases_is_enough(clean: Server, config: Config) -> None:
    execute(
        clean.address,
        "postgres",
        "DROP ROLE IF EXISTS maker",
        "CREATE ROLE maker LOGIN CREATEDB PASSWORD 'x'",
    )
    boss = Databases(clean, run_id="boss1", config=config)
    boss.open()
    boss.template(find(config))
    boss.close()
    address = dataclasses.replace(clean.address, user="maker", password="x")
    run = Databases(FoundServer(address, clean.version), run_id="run1", config=config)
    run.open()

    template = run.template(find(config))
    name = run.clone("gw0")
    execute(address, name, "CREATE SCHEMA dirt")
    run.restore("gw0")

    assert template.hit is True
    assert fetch(address, name, "SELECT count(*) FROM pg_namespace WHERE nspname = 'dirt'") == [(0,)]
    run.close()
    assert databases(clean.address) == {*BARE, template.name}


def test_a_role_that_may_not_create_databases(clean: Server, config: Config) -> None:
    execute(clean.address, "postgres", "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN PASSWORD 'x'")
    address = dataclasses.replace(clean.address, user="reader", password="x")
    run = Databases(FoundServer(address, clean.version), run_id="run1", config=config)
    run.open()

    with pytest.raises(DatabaseError) as caught:
        run.template(find(config))

    assert str(caught.value) == (
        f"pgharness: role 'reader' may not do what the harness needs on 127.0.0.1:{address.port}: "
        "permission denied to create database\n"
        "The harness creates, renames and drops databases of its own.\n"
        "To fix this, either:\n"
        '  - let it create databases: ALTER ROLE "reader" CREATEDB\n'
        "  - give --pg-url the address of a role that may"
    )
    run.close()
