"""Whether a connection of the pool still leads to the server, found out at the least cost."""

import time

from sqlalchemy import PoolProxiedConnection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

LONG_IDLE = 30.0
"""Seconds after which something between here and the server may have forgotten a connection silently."""

_USED = "used"


def check_on_checkout(engine: AsyncEngine, long_idle: float = LONG_IDLE) -> None:
    """Let the pool replace a connection that is dead before a request gets it, and all others with it.

    A server that stops or ends a connection says so, and the driver has read it: that costs no round trip to
    ask. What vanished without a word is found by a ping, after ``long_idle`` seconds without use.
    ``pool_pre_ping`` would ping each time: four round trips, as many as a small request has itself.
    """
    dialect = engine.dialect
    errors: type[Exception] = dialect.loaded_dbapi.Error

    def note_use(_: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info[_USED] = time.monotonic()

    def check(connection: DBAPIConnection, entry: ConnectionPoolEntry, _: PoolProxiedConnection) -> None:
        if _USED not in entry.info:  # new
            return
        if connection.driver_connection.is_closed():
            raise InvalidatePoolError
        if time.monotonic() - entry.info[_USED] >= long_idle:
            try:
                dialect.do_ping(connection)
            except errors as error:
                raise InvalidatePoolError from error

    event.listen(engine.sync_engine, "checkin", note_use)
    event.listen(engine.sync_engine, "checkout", check)
