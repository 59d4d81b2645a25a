"""Deterministic ids: a test that asks begins with the sequences where the template left them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

from pgharness.proxy.server import catalogue, upstream
from pgharness.proxy.server.upstream import Target
from pgharness.runs.levels import Phase
from pgharness.runs.worker import Isolation, Worker
from pgharness.server.base import Address
from tests.integration.pgharness.conftest import MakeProject
from tests.support.own_worker import OwnDatabases, own_databases, own_worker
from tests.support.schema_projects import configure, execute, write

SCHEMA = """
    CREATE SCHEMA "Main Shop";
    CREATE TABLE seeded (id serial PRIMARY KEY);
    INSERT INTO seeded DEFAULT VALUES;
    INSERT INTO seeded DEFAULT VALUES;
    INSERT INTO seeded DEFAULT VALUES;
    CREATE TABLE moved (id serial PRIMARY KEY);
    ALTER SEQUENCE moved_id_seq RESTART WITH 1000;
    CREATE TABLE "Main Shop"."It's" (
        id bigint GENERATED ALWAYS AS IDENTITY (START WITH 5000000000 INCREMENT BY 10)
    );
    CREATE SEQUENCE down INCREMENT BY -1;
    CREATE SEQUENCE cached CACHE 20;
"""
TABLES = ("seeded", "moved", '"Main Shop"."It\'s"')
FIRST = [4, 1000, 5000000000, -1, 1]
SECOND = [5, 1001, 5000000010, -2, 2]
ISOLATIONS: list[Isolation] = ["rollback", "database", "database", "rollback"]
Use = Callable[[Callable[[Connection], Any]], Any]


@pytest.fixture(scope="module")
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnDatabases]:
    root = tmp_path_factory.mktemp("project")
    write(root, "schema.sql", SCHEMA)
    with own_databases(configure(root, sql=["schema.sql"]), request.config) as made:
        yield made


@pytest.fixture
def worker(databases: OwnDatabases) -> Iterator[Worker]:
    with own_worker(databases) as made:
        yield made


@pytest.fixture
def address(databases: OwnDatabases) -> Address:
    return databases.address


@pytest.fixture(params=["asyncpg", "psycopg", "psycopg2"])
def use(request: pytest.FixtureRequest, worker: Worker) -> Use:
    """Call a function with a connection of an engine of the application, and commit."""
    url = worker.address.url(worker.database, request.param)

    def call(function: Callable[[Connection], Any], **options: Any) -> Any:
        if request.param != "asyncpg":
            with create_engine(url, poolclass=NullPool, **options).begin() as connection:
                return function(connection)

        async def go() -> Any:
            async with create_async_engine(url, poolclass=NullPool, **options).begin() as connection:
                return await connection.run_sync(function)

        return asyncio.run(go())

    return call


def ids(connection: Connection) -> list[Any]:
    """The next id of every table and sequence."""
    inserts = [f"INSERT INTO {table} DEFAULT VALUES RETURNING id" for table in TABLES]
    inserts += ["SELECT nextval('down')", "SELECT nextval('cached')"]
    return [connection.execute(text(statement)).scalar() for statement in inserts]


def run(*statements: str) -> Callable[[Connection], Any]:
    def call(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    return call


def test_every_test_begins_where_the_template_ends(worker: Worker, use: Use) -> None:
    found = []
    for number in range(3):
        with worker.test(f"test_{number}", "rollback", reset_sequences=True):
            found.append((use(ids), use(ids)))

    assert found == [(FIRST, SECOND)] * 3


def test_only_the_tests_that_ask_for_it(worker: Worker, use: Use) -> None:
    found = []
    for asks in (False, False, True):
        with worker.test("test_x", "rollback", reset_sequences=asks):
            found.append(use(ids)[:2])

    assert found == [[4, 1000], [5, 1001], [4, 1000]]


@pytest.mark.parametrize(
    "change",
    [
        ["TRUNCATE seeded RESTART IDENTITY", "INSERT INTO seeded DEFAULT VALUES"],
        ["ALTER SEQUENCE seeded_id_seq RESTART WITH 70 INCREMENT BY 7", "INSERT INTO seeded DEFAULT VALUES"],
        ["DROP TABLE seeded", "CREATE TABLE seeded (id text)", "ALTER SEQUENCE moved_id_seq RENAME TO other"],
        ["SELECT setval('seeded_id_seq', 500), setval('moved_id_seq', 7, false)"],
    ],
)
def test_after_a_test_that_changed_the_schema_or_the_sequences(
    worker: Worker, use: Use, change: list[str]
) -> None:
    with worker.test("test_1", "rollback", reset_sequences=True):
        use(run(*change))
    with worker.test("test_2", "rollback", reset_sequences=True):
        assert use(ids) == FIRST


def test_before_a_first_transaction_that_is_read_only(worker: Worker, use: Any) -> None:
    read_only = {"postgresql_readonly": True}
    with worker.test("test_1", "rollback"):
        use(ids)
    with worker.test("test_2", "rollback", reset_sequences=True):
        use(run("SELECT FROM seeded"), execution_options=read_only)

        assert use(ids) == FIRST


def test_a_database_of_its_own_is_as_fresh(worker: Worker, use: Use) -> None:
    """The worker's database may have been used under rollback before."""
    found = []
    for isolation in ("rollback", "database", "database", "rollback"):
        with worker.test("test_x", isolation, reset_sequences=True):
            found.append(use(ids))

    assert found == [FIRST] * 4


def add(connection: Connection) -> Any:
    return connection.execute(text("INSERT INTO seeded DEFAULT VALUES RETURNING id")).scalar()


@contextlib.contextmanager
def fixture(worker: Worker, *nodes: str) -> Iterator[None]:
    """The set-up of a fixture whose scope is the last of ``nodes``; the session's if there is none."""
    phase = Phase(f"of {nodes[-1]}", nodes[-1], len(nodes)) if nodes else Phase("of the session", "")
    worker.begin_fixture(phase, nodes)
    try:
        yield
    finally:
        worker.end_fixture()


def test_after_the_data_of_wider_scopes(worker: Worker, use: Use) -> None:
    """Ids begin after those of the rows that the test sees."""
    found: list[Any] = []

    def test(*around: str, isolation: Isolation = "rollback") -> None:
        with worker.test("test_x", isolation, around=around, reset_sequences=True):
            found.append((use(add), use(add)))

    with fixture(worker):
        found.append(use(add))
    test()
    with fixture(worker, "module"):
        found.append(use(add))
    test("module")
    test("module", isolation="database")
    test("module")
    with fixture(worker, "module", "class"):
        found.append(use(add))
    test("module", "class")
    test("module", "class", isolation="database")
    test("module", "class")
    test("module")
    test("module", isolation="database")
    test()
    test(isolation="database")

    of_session, of_module, of_class = 4, 5, 6
    assert found == [
        *(of_session, (5, 6)),
        *(of_module, *[(6, 7)] * 3),
        *(of_class, *[(7, 8)] * 3),
        *[(6, 7)] * 2,
        *[(5, 6)] * 2,
    ]


def test_after_fixtures_that_have_no_data(worker: Worker, use: Use) -> None:
    found = []
    with fixture(worker):
        use(run("SELECT FROM seeded"))
    for nodes in (["module"], ["module", "class"]):
        with fixture(worker, *nodes):
            pass
        for isolation in ISOLATIONS:
            with worker.test("test_x", isolation, around=nodes, reset_sequences=True):
                found.append(use(ids))

    assert found == [FIRST] * 2 * len(ISOLATIONS)


def test_after_a_class_without_data_in_a_module_with_it(worker: Worker, use: Use) -> None:
    found = []
    with fixture(worker, "module"):
        found.append(use(ids)[:4])
    with fixture(worker, "module", "class"):
        use(run("SELECT FROM seeded"))
    for isolation in ISOLATIONS:
        with worker.test("test_x", isolation, around=("module", "class"), reset_sequences=True):
            found.append(use(ids)[:4])

    assert found == [FIRST[:4], *[SECOND[:4]] * len(ISOLATIONS)]


def test_a_copy_has_the_sequences_where_they_stood(worker: Worker, use: Use) -> None:
    """So many that they are not set back yet when the copy is made."""
    many = "DO $$BEGIN FOR i IN 1..3000 LOOP EXECUTE format('CREATE SEQUENCE s%s', i); END LOOP; END$$"
    with fixture(worker):
        use(run(many))
    found = []
    for isolation in ISOLATIONS:
        with worker.test("test_x", isolation, reset_sequences=True):
            found.append(use(add))

    assert found == [4] * len(ISOLATIONS)


def test_a_sequence_that_is_gone_is_passed_over(worker: Worker, use: Use, address: Address) -> None:
    with worker.test("test_1", "rollback"):
        use(ids)
    execute(address, worker.database, "DROP SEQUENCE down", "CREATE SEQUENCE down START -1 INCREMENT -1")
    with worker.test("test_2", "rollback", reset_sequences=True):
        assert use(ids) == FIRST


def test_a_sequence_of_another_role_is_left_alone(worker: Worker, address: Address) -> None:
    execute(
        address,
        worker.database,
        "DROP ROLE IF EXISTS pgh_other",
        "CREATE ROLE pgh_other",
        "GRANT USAGE ON SEQUENCE seeded_id_seq TO pgh_other",
        "GRANT SELECT, UPDATE ON SEQUENCE moved_id_seq TO pgh_other",
    )
    try:
        target = Target(address.host, address.port, address.user, address.password)
        opened = upstream.connect(target, worker.database)
        opened.ask("SET ROLE pgh_other")
        restart = catalogue.restart(opened, "pgh_other")
        opened.close()

        assert "(VALUES ('public.moved_id_seq', 1000, False)) AS s" in restart
    finally:
        execute(address, worker.database, "DROP OWNED BY pgh_other", "DROP ROLE pgh_other")


def test_option_and_marker(project: MakeProject) -> None:
    adopter = project("psycopg_app")
    adopter.write(
        "test_notes.py",
        "import pytest\n"
        "asks = pytest.mark.parametrize('run', [1, 2])\n"
        "def post(client, text): return client.post('/notes', params={'text': text}).json()\n\n"
        "def test_first(sync_client): assert post(sync_client, 'a') == 1\n"
        "@asks\ndef test_asks(sync_client, run): assert post(sync_client, 'a') == 1\n"
        "@pytest.mark.pg(reset_sequences=True)\n"
        "@asks\ndef test_marked(sync_client, run): assert post(sync_client, 'a') == 1\n"
        "@pytest.mark.pg(reset_sequences=False)\n"
        "@asks\ndef test_without(sync_client, run): assert post(sync_client, 'a') == run\n",
    )
    on = adopter.pytest("-p", "no:randomly")
    off = adopter.pytest("-p", "no:randomly", "--pg-reset-sequences=off", "-k", "test_first or test_marked")

    assert (on.code, on.outcomes) == (0, {"passed": 7}), on.output
    assert (off.code, off.outcomes) == (0, {"passed": 3, "deselected": 4}), off.output
