"""Clones of a template."""

from __future__ import annotations

import dataclasses

from pgharness.databases import ledger
from pgharness.databases.ledger import BIRTHMARK, Connection, Mark
from pgharness.schema.sql import quoted
from pgharness.server.base import Server

_FILE_COPY_SINCE = 15
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "temp_tablespaces",
}
"""Settings whose stored value is a list of names, each quoted already."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A template, and the settings its migrations gave it, which CREATE DATABASE does not copy."""

    name: str
    fingerprint: str
    settings: tuple[str, ...]
    """``name=value``, for every role."""
    owner: str
    of_roles: tuple[tuple[str, str], ...] = ()
    """Settings for one role: its name and ``name=value``."""
    grants: tuple[str, ...] = ()
    """Statements that give the privileges on the database, where ``{}`` stands for its name."""


_SETTINGS = """
SELECT r.rolname::text AS role, unnest(s.setconfig) AS line
FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE d.datname = $1
"""
_GRANTS = """
SELECT format('GRANT %s ON DATABASE {} TO %s%s', p.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'),
              CASE WHEN p.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS line
FROM pg_database d, aclexplode(d.datacl) p LEFT JOIN pg_roles r ON r.oid = p.grantee
WHERE d.datname = $1 AND d.datacl IS NOT NULL
"""


async def source(connection: Connection, name: str, fingerprint: str, owner: str) -> Source:
    """Read what a clone of the template ``name`` needs, which belongs to ``owner``."""
    rows = await connection.fetch(_SETTINGS, name)
    grants = [row["line"] for row in await connection.fetch(_GRANTS, name)]
    return Source(
        name,
        fingerprint,
        tuple(row["line"] for row in rows if row["role"] is None),
        owner,
        tuple((row["role"], row["line"]) for row in rows if row["role"] is not None),
        ("REVOKE ALL ON DATABASE {} FROM PUBLIC", *grants) if grants else (),
    )


def copy_clause(server: Server) -> str:
    """How to copy: files force a checkpoint, cheap on a server of our own, rude on anybody else's."""
    return " STRATEGY FILE_COPY" if server.owned and server.major >= _FILE_COPY_SINCE else ""


def with_lock_timeout(origin: Source, seconds: float) -> Source:
    """``origin`` with a limit on waiting for locks in its clones, unless its migrations gave it one."""
    if any(line.startswith("lock_timeout=") for line in origin.settings):
        return origin
    return dataclasses.replace(origin, settings=(*origin.settings, f"lock_timeout={int(seconds * 1000)}ms"))


async def clone(connection: Connection, server: Server, origin: Source, name: str, run: str) -> None:
    """Make the database ``name`` from ``origin`` and mark it."""
    copy = copy_clause(server)
    await connection.execute(
        f"CREATE DATABASE {quoted(name)} OWNER {quoted(origin.owner)} TEMPLATE {quoted(origin.name)}{copy} "
        f"CONNECTION LIMIT {BIRTHMARK}"
    )
    time = await ledger.now(connection)
    mark = Mark(kind="worker", run=run, fingerprint=origin.fingerprint, created=time, used=time)
    await ledger.write(connection, name, mark)
    for line in origin.settings:
        await connection.execute(f"ALTER DATABASE {quoted(name)} SET {assignment(line)}")
    for role, line in origin.of_roles:
        await connection.execute(
            f"ALTER ROLE {quoted(role)} IN DATABASE {quoted(name)} SET {assignment(line)}"
        )
    for line in origin.grants:
        await connection.execute(line.replace("{}", quoted(name)))


def assignment(line: str) -> str:
    """``name=value``, as the catalogue keeps it, as SET has it."""
    setting, _, value = line.partition("=")
    shown = value if setting in _LISTS and value else "'" + value.replace("'", "''") + "'"
    return f"{setting} TO {shown}"
