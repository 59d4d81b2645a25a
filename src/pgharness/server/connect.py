"""Log in to a server and ask it who it is."""

from __future__ import annotations

import dataclasses

import asyncpg

from pgharness.server.background import background
from pgharness.server.base import Address


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """What a server says of itself and of the user who asks."""

    version: str
    """``17.11``, without what a distribution appends."""
    creates_databases: bool
    is_superuser: bool = False


_QUESTION = """
select split_part(current_setting('server_version'), ' ', 1),
       rolsuper or rolcreatedb, rolsuper
from pg_roles where rolname = current_user
"""


def log_in(address: Address, seconds: float, *, ssl: bool | None = None) -> Login:
    """Connect to the maintenance database of ``address`` within ``seconds``.

    ``ssl``: False for none; None as the environment (``PGSSLMODE``) says.

    Raises:
        OSError: Nothing answers, or not in time (TimeoutError).
        asyncpg.PostgresError: The server refuses.
        asyncpg.InterfaceError: What answers does not speak the protocol as expected.
    """
    return background.run(_log_in(address, seconds, ssl))


async def _log_in(address: Address, seconds: float, ssl: bool | None) -> Login:
    connection = await asyncpg.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password,
        database=address.database,
        ssl=ssl,
        timeout=seconds,
        # The user's PGOPTIONS and the like are not this connection's business.
        server_settings={"application_name": "pgharness"},
    )
    try:
        row = await connection.fetchrow(_QUESTION, timeout=seconds)
    finally:
        await connection.close(timeout=seconds)
    if row is None:
        return Login("0", creates_databases=False)
    return Login(str(row[0]), creates_databases=bool(row[1]), is_superuser=bool(row[2]))
