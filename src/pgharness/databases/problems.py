"""The sentences of `DatabaseError`: a named constructor for each cause."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import asyncpg

from pgharness.errors import DatabaseError
from pgharness.schema.sql import postgres_says
from pgharness.server.base import Address


def not_ours(name: str, where: str) -> DatabaseError:
    return DatabaseError(
        f"database {name!r} exists on {where}, and the harness did not make it.",
        cause="It carries no mark of the harness, so it is left alone.",
        fix=[f'drop or rename it yourself: DROP DATABASE "{name}"'],
    )


def same_run(run: str, where: str) -> DatabaseError:
    return DatabaseError(
        f"a run named {run!r} is alive on {where} already.",
        cause="Two runs of one name would drop each other's databases.",
        fix=["give each run a name of its own"],
    )


def build_wait(name: str, seconds: float, holder: str) -> DatabaseError:
    return DatabaseError(
        f"another run has been building template {name!r} for more than {seconds:g} s.",
        checked=[f"the lock is held by {holder}"],
        fix=["wait until that run ends, then run again", "end that run"],
    )


def still_used(name: str, holders: Sequence[str]) -> DatabaseError:
    return DatabaseError(
        f"database {name!r} cannot be replaced: connections to it do not end.",
        checked=[f"still connected: {holder}" for holder in holders],
        fix=["close what the test opened: engines, pools, background tasks, child processes"],
    )


def not_allowed(user: str, where: str, message: str) -> DatabaseError:
    return DatabaseError(
        f"role {user!r} may not do what the harness needs on {where}: {message}",
        cause="The harness creates, renames and drops databases of its own.",
        fix=[
            f'let it create databases: ALTER ROLE "{user}" CREATEDB',
            "give --pg-url the address of a role that may",
        ],
    )


def no_locale(locale: str, message: str) -> DatabaseError:
    return DatabaseError(
        f"the server has no locale {locale!r} (pg_locale): {message}",
        cause="Locales are those of the machine, or of the image, on which PostgreSQL runs.",
        fix=[
            "name one that `locale -a` shows there",
            "drop pg_locale",
            "take an image that has it: --pg-image",
        ],
    )


def no_role(role: str, where: str) -> DatabaseError:
    return DatabaseError(
        f"there is no role {role!r} on {where} after the schema has been built (pg_role).",
        fix=[
            "create it in a migration, or in a file of pg_sql",
            "drop pg_role: the app connects as the owner of its database then",
        ],
    )


def no_other_role(role: str, user: str, where: str) -> DatabaseError:
    return DatabaseError(
        f"the app cannot connect as role {role!r} (pg_role) on {where}: user {user!r} is no superuser.",
        cause="Only a superuser may let another role in without its password.",
        fix=["drop pg_role: the app connects as that user then", "name a superuser in --pg-url"],
    )


def no_room(where: str, message: str) -> DatabaseError:
    return DatabaseError(
        f"the server on {where} has no room left: {message}",
        fix=["give --pg-tmpdir a directory with more room", "free space where the server keeps its data"],
    )


def lost(where: str, error: BaseException) -> DatabaseError:
    return DatabaseError(
        f"the server on {where} does not answer: {type(error).__name__}: {error}",
        cause="It was stopped or restarted, or never started.",
        fix=["look into the server's log", "run again"],
    )


def refused(where: str, message: str) -> DatabaseError:
    return DatabaseError(
        f"the server on {where} refused what the harness asked: {message}",
        fix=["look into the server's log"],
    )


@contextlib.contextmanager
def explained(address: Address) -> Iterator[None]:
    """Turn what the driver raises into a `DatabaseError`."""
    where = f"{address.host}:{address.port}"
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise not_allowed(address.user, where, postgres_says(error)) from error
    except (asyncpg.DiskFullError, asyncpg.OutOfMemoryError) as error:
        raise no_room(where, postgres_says(error)) from error
    except GONE as error:
        raise lost(where, error) from error
    except asyncpg.PostgresError as error:
        raise refused(where, postgres_says(error)) from error


GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # an idle connection that the server ended
    OSError,
)
"""What the driver raises when the server is not there any more. `TimeoutError` is an `OSError`."""
