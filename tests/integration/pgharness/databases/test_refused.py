"""What a run refuses or cannot do on its server, and says so."""

from __future__ import annotations

import dataclasses

import pytest

from pgharness.config import Config
from pgharness.databases import ledger, names, owner
from pgharness.databases.databases import Databases
from pgharness.databases.names import worker_database_name
from pgharness.errors import DatabaseError
from pgharness.schema.find import find
from pgharness.server.background import background
from pgharness.server.base import Server
from tests.support.schema_projects import (
    BARE,
    databases,
    execute,
    fetch,
    hold,
    tables,
)
from tests.support.scratch_server import FoundServer, scratch_server

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


def _template_and_clone(run: Databases, config: Config) -> None:
    run.template(find(config))
    run.clone("gw0")


@pytest.mark.parametrize("kind", ["template", "worker", "build"])
def test_a_database_of_that_name_without_the_mark(run: Databases, config: Config, kind: str) -> None:
    fingerprint = find(config).fingerprint(run.server.major, owner.NAME)
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
    fingerprint = schema.fingerprint(clean.major, owner.NAME)
    lock = ledger.key("build", fingerprint)
    background.run(other.execute("SELECT pg_advisory_lock($1)", lock))
    run = Databases(clean, run_id="run1", config=config, build_wait=0.05)
    run.open()

    with pytest.raises(DatabaseError) as caught:
        run.template(schema)

    assert str(caught.value) == (
        f"pgharness: another run has been building template 'pgh_t_{fingerprint}' "
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
        run.take("gw0")
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
    bosses = boss.template(find(config))
    boss.close()
    address = dataclasses.replace(clean.address, user="maker", password="x")
    run = Databases(FoundServer(address, clean.version, superuser=False), run_id="run1", config=config)

    assert run.open() == address
    template = run.template(find(config))
    execute(address, run.clone("gw0"), "CREATE SCHEMA dirt")

    assert template.hit is False  # the other's belongs to another role
    dirt = "SELECT count(*) FROM pg_namespace WHERE nspname = 'dirt'"
    assert fetch(address, run.take("gw0"), dirt) == [(0,)]
    run.close()
    assert databases(clean.address) == {*BARE, template.name, bosses.name}


def test_a_role_that_may_not_create_databases(clean: Server, config: Config) -> None:
    execute(clean.address, "postgres", "DROP ROLE IF EXISTS reader", "CREATE ROLE reader LOGIN PASSWORD 'x'")
    address = dataclasses.replace(clean.address, user="reader", password="x")
    run = Databases(FoundServer(address, clean.version, superuser=False), run_id="run1", config=config)
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
