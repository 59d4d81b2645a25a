"""The fixtures around the database: its isolation, its sessions, the server."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pgharness.runs import database_use
from pgharness.runs.harness import FAILED, harness_of
from pgharness.web import loops

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

    from pgharness.runs.run import ServerFacts
    from pgharness.runs.worker import Worker


@dataclasses.dataclass(frozen=True, slots=True)
class Database:
    """A database of the harness. ``isolation`` says how a test's changes to it are undone."""

    name: str
    url: str = dataclasses.field(repr=False)
    """``postgresql://``, for libpq, asyncpg and command-line tools."""
    asyncpg_url: str = dataclasses.field(repr=False)
    """``postgresql+asyncpg://``, for SQLAlchemy."""
    psycopg_url: str = dataclasses.field(repr=False)
    """``postgresql+psycopg://``, for SQLAlchemy."""
    isolation: str

    @property
    def dsn(self) -> str:
        """The same as ``url``, by the name libpq and asyncpg use."""
        return self.url


@dataclasses.dataclass(frozen=True, slots=True)
class PgServer:
    """The server of this run. ``version`` is for example ``17.11``, ``url`` its maintenance database's."""

    version: str
    backend: str
    url: str = dataclasses.field(repr=False)

    @property
    def major(self) -> int:
        return int(self.version.partition(".")[0])


def _database(server: ServerFacts, name: str, isolation: str) -> Database:
    address = server.address
    return Database(
        name, address.url(name), address.url(name, "asyncpg"), address.url(name, "psycopg"), isolation
    )


@pytest.fixture
def _pg_test(request: pytest.FixtureRequest) -> Iterator[str]:
    """The isolation of one test: set up before its other fixtures, ended after them."""
    harness = harness_of(request)
    item = request.node
    wanted = database_use.requested(item, harness.config.isolation)
    reset = wanted.reset_sequences
    if reset is None:
        reset = harness.config.reset_sequences == "on"
    worker = harness.get_worker()
    with contextlib.ExitStack() as stack:
        loop = stack.enter_context(loops.held(request))
        if harness.app is not None:
            stack.enter_context(_overrides_restored(harness.app))
        scope = getattr(item, "_loop_scope", "function")
        if scope != "function":
            request.getfixturevalue(f"_pg_{scope}_connections")
        stack.enter_context(
            worker.test(
                item.nodeid,
                wanted.isolation,
                loop=loop,
                reset_sequences=reset,
                has_failed=lambda: item.stash.get(FAILED, False),
            )
        )
        yield wanted.isolation


def _overrides_restored(app: Any) -> contextlib.AbstractContextManager[None]:
    """For a test that sets one on the app it has imported, past the fixture."""
    from pgharness.web.app import overrides_restored  # noqa: PLC0415 - loads httpx

    return overrides_restored(app)


def _disconnect_with_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Close the worker's connections before the loop of this scope ends; set up after it, so gone first."""
    harness = harness_of(request)
    yield
    if harness.worker is not None:
        harness.worker.engines.rollback.disconnect()


_pg_session_connections = pytest.fixture(scope="session")(_disconnect_with_loop)
_pg_package_connections = pytest.fixture(scope="package")(_disconnect_with_loop)
_pg_module_connections = pytest.fixture(scope="module")(_disconnect_with_loop)
_pg_class_connections = pytest.fixture(scope="class")(_disconnect_with_loop)


@pytest.fixture(scope="session")
def pg_server(request: pytest.FixtureRequest) -> PgServer:
    """The PostgreSQL server of this run."""
    server = harness_of(request).get_worker().database.server
    return PgServer(server.version, server.backend, server.address.url())


@pytest.fixture
def pg_database(request: pytest.FixtureRequest, _pg_test: str) -> Database:
    """This test's database: migrated, and empty of what other tests wrote."""
    database = harness_of(request).get_worker().database
    return _database(database.server, database.name, _pg_test)


def _scope(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The database while data is made for all tests of a module or class; undone after the last."""
    harness = harness_of(request)
    worker = harness.get_worker()
    isolation = database_use.requested_by_scope(request.node, request.session.items, harness.config.isolation)
    with worker.scope(request.node.nodeid, isolation), _fixtures_noted(request, worker):
        yield _database(worker.database.server, worker.database.name, isolation)


@contextlib.contextmanager
def _fixtures_noted(request: pytest.FixtureRequest, worker: Worker) -> Iterator[None]:
    """Tell ``worker`` when a fixture of wider scope than a test is set up."""

    class Notes:
        @pytest.hookimpl(tryfirst=True)
        def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> None:
            if fixturedef.scope != "function":
                worker.note_change()

    notes = Notes()
    plugins = request.config.pluginmanager
    plugins.register(notes)
    try:
        yield
    finally:
        plugins.unregister(notes)


@pytest.fixture(scope="module")
def pg_module(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The database, for a fixture of module scope that makes data for all tests of the module."""
    yield from _scope(request)


@pytest.fixture(scope="class")
def pg_class(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The database, for a fixture of class scope that makes data for all tests of the class."""
    yield from _scope(request)


@pytest.fixture
def pg_empty_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A new, empty database of this test's own with real connections, for tests of migrations."""
    harness = harness_of(request)
    server = harness.get_worker().database.server
    provider = harness.provider
    name = provider.create_empty(harness.worker_name)
    try:
        yield _database(server, name, "database")
    finally:
        provider.drop_empty(name)


# -- sessions -------------------------------------------------------------------------------------------


@pytest.fixture
def pg_session_options() -> dict[str, Any]:
    """Override to change how ``db_session`` is made: the arguments of SQLAlchemy's session.

    ``class_`` is the class of the session, such as SQLModel's.
    """
    return {"expire_on_commit": False}


@pytest.fixture
def db_session(
    request: pytest.FixtureRequest,
    pg_database: Database,
    pg_session_options: dict[str, Any],
) -> Iterator[AsyncSession | Session]:
    """A session in the test's transaction: an `AsyncSession`; for psycopg in a plain test a `Session`.

    What a query or ``get`` returns is as the database holds it, also where the app has changed it since.
    """
    from pgharness import sessions  # noqa: PLC0415 - only tests that ask

    plain = not inspect.iscoroutinefunction(request.node.obj)
    harness = harness_of(request)
    connected = harness.get_worker().engines.drivers
    driver = sessions.choose_driver(harness.config.driver, harness.config.env, connected, plain=plain)
    if driver == "psycopg" and plain:
        yield from sessions.sync_session(pg_database.psycopg_url, pg_session_options)
    else:
        url = pg_database.asyncpg_url if driver == "asyncpg" else pg_database.psycopg_url
        joined = pg_database.isolation == "rollback"
        yield from sessions.async_session(url, pg_session_options, joined=joined)
