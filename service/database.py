"""The metadata that every model shares, and the engine of one process."""

from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy import DateTime, MetaData, Uuid, func
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service import clock
from service.pool import check_on_checkout
from service.settings import ProcessSettings

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError)
"""What connecting raises: SQLAlchemy wraps only the errors of an open connection."""

UNAVAILABLE = (SQLAlchemyError, *DRIVER_ERRORS, OSError, TimeoutError)
"""What a database that is down can raise."""


LOCK_NOT_AVAILABLE = "55P03"
"""The SQLSTATE of a wait that ``lock_timeout`` ended."""

MAY_PASS = ("08", "28", "3D", "40", "53", "57", LOCK_NOT_AVAILABLE)
"""SQLSTATEs, by their beginnings, that are no fault of the statement's: connection lost or refused, rolled
back (deadlock), no resources, interrupted."""


CHANNEL = "work"
"""What is notified when there is something for the worker to do."""


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


def _as_created(context: DefaultExecutionContext) -> datetime:
    """A new row was last changed when it was made."""
    created_at: datetime = context.get_current_parameters()["created_at"]  # type: ignore[no-untyped-call]  # SQLAlchemy's
    return created_at


class Record:
    """The columns that every table has.

    The times are the service's own (``service.clock``), so that one clock orders rows, expires tokens
    and finds what is overdue. The server's defaults are for rows that something else writes.
    """

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, server_default=func.gen_random_uuid())
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=clock.now, server_default=func.now()
    )
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), default=_as_created, onupdate=clock.now, server_default=func.now()
    )


def create_engine(settings: ProcessSettings) -> AsyncEngine:
    """An engine that connects when first used. The caller disposes of it.

    No statement and no wait for a lock or a connection lasts for longer than the settings say.
    """
    timeouts = {
        "statement_timeout": settings.statement_timeout,
        "lock_timeout": settings.lock_timeout,
        "idle_in_transaction_session_timeout": settings.idle_timeout,
    }
    engine = create_async_engine(
        settings.database_url.get_secret_value(),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_timeout=settings.pool_timeout,
        hide_parameters=True,  # errors are logged, and a parameter may be a hash or an address
        connect_args={
            "timeout": settings.connect_timeout,
            "server_settings": {
                "application_name": "task-board",
                **{name: f"{int(seconds * 1000)}ms" for name, seconds in timeouts.items()},
            },
        },
    )
    check_on_checkout(engine)
    return engine


def is_unavailable(error: Exception) -> bool:
    """Whether the same request may well succeed later: the database is away, busy, or interrupted it."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, (PoolTimeoutError, ConnectionError, *DRIVER_ERRORS))
    state = sqlstate(error) or ""
    return error.connection_invalidated or state.startswith(MAY_PASS)


def violated_constraint(error: IntegrityError) -> str | None:
    """The name of the constraint that a statement broke, where PostgreSQL named one."""
    cause = error.orig.__cause__ if error.orig is not None else None
    return getattr(cause, "constraint_name", None)


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's code for what went wrong, where the error came from there."""
    return getattr(error.orig, "sqlstate", None)
