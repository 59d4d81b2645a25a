"""A server that somebody else runs: looked at once, never stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import asyncpg

from pgharness.config import Config
from pgharness.errors import ServerError
from pgharness.server import failures
from pgharness.server.base import Address
from pgharness.server.connect import Login, log_in
from pgharness.server.running import RunningServer, major_of

_ANSWER_SECONDS = 10.0
_PAUSE = 0.1


def find(config: Config, address: Address) -> RunningServer:
    """The server at ``address``, once it lets a user in who may create databases.

    Raises:
        ServerError: It does not, or its major is not the one that ``pg_version`` pins.
    """
    login = _log_in(address, config.start_timeout)
    if not login.creates_databases:
        raise failures.no_createdb(address)
    if config.version and major_of(login.version) != config.version:
        there = f"the server at {address.host}:{address.port} (pg_url) is {login.version}"
        fix = [f"give the address of a PostgreSQL {config.version} in --pg-url"]
        raise failures.other_major(config.version, there, login.version, fix)
    detail = f"at {address.host}:{address.port}"
    superuser = login.is_superuser
    return RunningServer("external", address, login.version, detail, owned=False, superuser=superuser)


def _log_in(address: Address, patience: float, clock: Callable[[], float] = time.monotonic) -> Login:
    deadline, limit = clock() + patience, min(patience, _ANSWER_SECONDS)
    while True:
        try:
            return log_in(address, limit)
        except asyncpg.CannotConnectNowError as error:  # it starts up, or recovers
            if clock() > deadline:
                raise failures.unexpected(address, str(error)) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise _explained(address, error, limit) from None
        time.sleep(_PAUSE)


def _explained(address: Address, error: Exception, seconds: float) -> ServerError:
    match error:
        case asyncpg.InvalidAuthorizationSpecificationError():  # InvalidPasswordError is one
            return failures.login_refused(address, str(error))
        case asyncpg.InvalidCatalogNameError():
            return failures.no_database(address)
        case asyncpg.PostgresConnectionError() | ConnectionError(errno=None):
            return failures.dead_url(address, "the connection was closed during the login")
        case TimeoutError():
            return failures.dead_url(address, f"no answer within {seconds:g} s")
        case OSError():
            return failures.dead_url(address, _plain(error))
        case _:
            return failures.unexpected(address, str(error) or type(error).__name__)


def _plain(error: OSError) -> str:
    """The system's own words; asyncio wraps them in the addresses it tried."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
