"""One run's life on a server: template, clones, restores, and what it leaves."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path

import asyncpg
import pytest

from pgharness.config import Config
from pgharness.databases import ledger, owner
from pgharness.databases.databases import Databases
from pgharness.databases.names import worker_database_name
from pgharness.errors import SchemaError
from pgharness.schema.find import find
from pgharness.server.base import Server
from tests.support.schema_projects import (
    ASYNC_ENV,
    BARE,
    alembic_project,
    configure,
    databases,
    ended,
    execute,
    fetch,
    hold,
    tables,
    write,
)

pytestmark = pytest.mark.pg(allow_hosts=["127.0.0.1"])  # the scratch server


def test_built_once_then_found(run: Databases, config: Config) -> None:
    schema = find(config)

    first, second = run.template(schema), run.template(schema)

    assert (first.hit, second.hit) == (False, True)
    assert first.name == second.name == f"pgh_t_{schema.fingerprint(run.server.major, owner.NAME)}"
    assert first.fingerprint == schema.fingerprint(run.server.major, owner.NAME)
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
    for method in (run.clone, run.take):
        with pytest.raises(RuntimeError, match="template comes before clone and take"):
            method("gw0")


def test_nothing_works_before_open(clean: Server, config: Config) -> None:
    with pytest.raises(RuntimeError, match="Databases is not open"):
        Databases(clean, run_id="run1", config=config).template(find(config))


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
    taken = run.take("gw0")

    run.abandon()
    run.abandon()

    assert {name, taken} <= databases(clean.address)
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
    run.clone("gw0")

    query = "SELECT current_setting('search_path'), current_setting('timezone')"
    shown = fetch(clean.address, run.take("gw0"), query)

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
