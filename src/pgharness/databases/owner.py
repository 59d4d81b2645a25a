"""The role that owns the databases of a run, and as which the app connects.

It is no superuser and row-level security holds for it, as in production; like the first user of a managed
service it may create databases and roles. It has one name on the whole server, for templates that are kept
belong to it.
"""

from __future__ import annotations

import hashlib
import hmac

import asyncpg

from pgharness.config.options import DEFAULT_ROLE
from pgharness.databases import ledger, problems
from pgharness.databases.ledger import Connection
from pgharness.schema.sql import connect, quoted
from pgharness.server.base import Address, Server
from pgharness.server.scram import verifier

NAME = DEFAULT_ROLE
_ATTRIBUTES = "LOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION CREATEDB CREATEROLE INHERIT"
_IS_THERE = f"""
SELECT rolcanlogin AND rolcreatedb AND rolcreaterole AND NOT (rolsuper OR rolbypassrls OR rolreplication)
FROM pg_roles WHERE rolname = '{NAME}'
"""


def login(address: Address) -> Address:
    """How the role logs in to the server of ``address``: every run that knows that address finds the same."""
    password = hmac.digest(address.password.encode(), b"pgharness: the role that owns", hashlib.sha256).hex()
    return Address(address.host, address.port, NAME, password, address.database)


async def of(connection: Connection, server: Server, role: str) -> Address:
    """The login of the owner, where the app connects as ``role``; ``connection`` is the harness's own.

    Raises:
        DatabaseError: The app cannot connect as ``role``.
    """
    address = server.address
    if role == address.user:
        return address
    if server.superuser:
        return await _ensure(connection, address)
    if role != NAME:
        raise problems.no_other_role(role, address.user, f"{address.host}:{address.port}")
    return address


async def _ensure(connection: Connection, address: Address) -> Address:
    """Make the role, unless it is there; returns its login. ``connection`` is a superuser's."""
    wanted = login(address)
    await connection.execute("SELECT pg_advisory_lock($1)", ledger.key("role", NAME))
    try:
        is_fit = await connection.fetchval(_IS_THERE)
        if not is_fit or not await _is_let_in(wanted):
            create = "CREATE" if is_fit is None else "ALTER"
            await connection.execute(
                f"{create} ROLE {quoted(NAME)} {_ATTRIBUTES} PASSWORD '{verifier(wanted.password)}'"
            )
            if is_fit is None:
                await connection.execute(f"COMMENT ON ROLE {quoted(NAME)} IS 'owns what pgharness makes'")
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", ledger.key("role", NAME))
    return wanted


async def _is_let_in(address: Address) -> bool:
    try:
        opened = await connect(address, address.database)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    await opened.close(timeout=5)
    return True


async def check(connection: Connection, role: str, where: str) -> None:
    """See that the role of ``pg_role`` is there, now that the schema is built.

    Raises:
        DatabaseError: It is not.
    """
    if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", role):
        raise problems.no_role(role, where)
