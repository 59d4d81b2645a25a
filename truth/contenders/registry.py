"""Who is in the table, and how each is set up."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Literal

NO_APP = "it offers no app or client: overrides are the project's own affair"

INSTALLED = """\
pg_env = DATABASE_URL={asyncpg_url}
pg_app = truth.shop.app:app
pg_metadata = truth.shop.models:Base.metadata
"""
PGHARNESS = f"""\
{INSTALLED}pg_lock_timeout = 3
pg_clock = on
pg_reset_sequences = on
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One column of the table.

    Args:
        name: Its name in files and on the command line.
        title: Its name on the page.
        column: The two lines above its column.
        how: How it is set up, for the page.
        package: The distribution it is.
        module: That below truth.contenders with its fixtures.
        plugins: The pytest plugins it consists of.
        database: Where its tests' data are: on a database that the runner makes from the schema, on
            one that it makes itself on the runner's server, or on a server of its own in a container.
        ini: Lines of pytest.ini.
        environment: Variables of its processes.
        suffix: What it appends to the name of the database it is given.
        not_offered: Behaviours that are not its affair, each with the reason.
    """

    name: str
    title: str
    column: tuple[str, str]
    how: str
    package: str
    module: str
    plugins: tuple[str, ...] = ()
    database: Literal["prepared", "own", "container"]
    ini: str = ""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    suffix: str = ""
    not_offered: Mapping[str, str] = dataclasses.field(default_factory=dict)


_pgharness = functools.partial(
    Contender, package="pgharness", module="with_pgharness", plugins=("pgharness.plugin",), database="own"
)
_pytest_async_sqlalchemy = functools.partial(
    Contender,
    package="pytest-async-sqlalchemy",
    module="with_pytest_async_sqlalchemy",
    plugins=("pytest_async_sqlalchemy",),
    database="own",
)

CONTENDERS = (
    _pgharness(
        name="pgharness",
        title="pgharness as installed",
        column=("pgharness", "installed"),
        how="No option but those that name the app, its database and its tables: a test begins with "
        "rollback, and runs again with real commits where it needs them.",
        ini=INSTALLED,
    ),
    _pgharness(
        name="pgharness-rollback",
        title="pgharness rollback",
        column=("pgharness", "rollback"),
        how="All that connects joins the test's transaction. With `pg_isolation = rollback`, "
        "`pg_clock = on` and `pg_reset_sequences = on`.",
        ini=f"{PGHARNESS}pg_isolation = rollback\n",
    ),
    _pgharness(
        name="pgharness-database",
        title="pgharness database",
        column=("pgharness", "database"),
        how='`isolation="database"`: a clone for each test, real connections and commits.',
        ini=f"{PGHARNESS}pg_isolation = database\n",
    ),
    Contender(
        name="usual",
        title="usual fixture",
        column=("usual", "fixture"),
        how="Written by hand: one connection, an outer transaction, "
        '`AsyncSession(connection, join_transaction_mode="create_savepoint")`, a session of its own for each '
        "request by `dependency_overrides`, no pool.",
        package="sqlalchemy",
        module="usual",
        database="prepared",
    ),
    Contender(
        name="pytest-postgresql",
        title="pytest-postgresql",
        column=("pytest-", "postgresql"),
        how="`postgresql_noproc(load=...)` on the same server: a clone of its template for each test, under "
        "one name; the app's pools are emptied after each test.",
        package="pytest-postgresql",
        module="with_pytest_postgresql",
        plugins=("pytest_postgresql.plugin",),
        database="own",
        not_offered={"overrides": NO_APP},
    ),
    Contender(
        name="fastapi-sqla",
        title="fastapi-sqla",
        column=("fastapi-", "sqla"),
        how="The app takes its sessions from the library; its pytest plugin puts them on one connection that "
        "is rolled back.",
        package="fastapi-sqla",
        module="with_fastapi_sqla",
        plugins=("fastapi_sqla._pytest_plugin",),
        database="prepared",
        environment={"TRUTH_SESSIONS": "fastapi-sqla"},
        not_offered={"overrides": NO_APP},
    ),
    _pytest_async_sqlalchemy(
        name="pytest-async-sqlalchemy-session",
        title="pytest-async-sqlalchemy db_session",
        column=("async-sqla", "db_session"),
        how="pytest-async-sqlalchemy's `db_session`, which is rolled back, as the app's session by "
        "`dependency_overrides`.",
        environment={"TRUTH_WAY": "db_session"},
        not_offered={"overrides": NO_APP, "own_loop": "it requires one event loop for the whole run"},
    ),
    _pytest_async_sqlalchemy(
        name="pytest-async-sqlalchemy-database",
        title="pytest-async-sqlalchemy scoped_database",
        column=("async-sqla", "scoped_db"),
        how="pytest-async-sqlalchemy's `scoped_database`: a database for each test, under one name; the "
        "app's pools are emptied after each test.",
        environment={"TRUTH_WAY": "scoped_database"},
        suffix="_function_scoped",
        not_offered={"overrides": NO_APP},
    ),
    Contender(
        name="pytest-databases",
        title="pytest-databases",
        column=("pytest-", "databases"),
        how="A server in a container, one database for the run, and no promise to undo what a test has done; "
        "the app's pools are emptied after each test.",
        package="pytest-databases",
        module="with_pytest_databases",
        plugins=("pytest_databases._service", "pytest_databases.docker.postgres"),
        database="container",
        not_offered={"overrides": NO_APP},
    ),
)
