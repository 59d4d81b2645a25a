"""What the databases of a server share: roles, their memberships and settings, and the databases themselves.

A transaction undoes what it does to them, a clone that is dropped does not.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pgharness.databases import ledger
from pgharness.databases.cloning import assignment
from pgharness.databases.ledger import Connection
from pgharness.schema.sql import quoted

_ROLES = """
SELECT rolname::text, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
       rolbypassrls, rolconnlimit, rolpassword, rolvaliduntil::text
FROM pg_authid WHERE rolname !~ '^pg_'
"""
_SETTINGS = """
SELECT r.rolname::text, unnest(s.setconfig)
FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = 0
"""
_MEMBERS = """
SELECT r.rolname::text, m.rolname::text, g.rolname::text, a.admin_option
FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
JOIN pg_roles g ON g.oid = a.grantor
WHERE m.rolname !~ '^pg_'
"""
_DATABASES = """
SELECT d.datname::text FROM pg_database d JOIN pg_roles r ON r.oid = d.datdba
WHERE NOT starts_with(d.datname::text, 'pgh_') AND r.rolname = $1
"""
_SWITCHES = (
    *(("SUPERUSER", 1), ("INHERIT", 2), ("CREATEROLE", 3), ("CREATEDB", 4), ("LOGIN", 5)),
    *(("REPLICATION", 6), ("BYPASSRLS", 7)),
)
_GRANTORS_SINCE = 16
"""From this major on a membership is that of who has granted it."""
_WORD = re.compile(r"[\w$]+")


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """What there is on a server: roles with their settings and memberships, and the owner's databases."""

    owner: str
    databases: frozenset[str]
    roles: dict[str, tuple[Any, ...]]
    settings: frozenset[tuple[str, str]]
    members: frozenset[tuple[str, str, str, bool]]
    """The role, its member, who has granted it, and whether the member may grant it."""


async def snapshot(connection: Connection, owner: str, *, is_superuser: bool) -> Snapshot:
    """Look at what there is now. Who is no superuser is shown the databases alone."""
    databases = frozenset(row[0] for row in await connection.fetch(_DATABASES, owner))
    if not is_superuser:
        return Snapshot(owner, databases, {}, frozenset(), frozenset())
    roles = {row[0]: tuple(row) for row in await connection.fetch(_ROLES)}
    settings = frozenset((row[0], row[1]) for row in await connection.fetch(_SETTINGS))
    members = frozenset((row[0], row[1], row[2], row[3]) for row in await connection.fetch(_MEMBERS))
    return Snapshot(owner, databases, roles, settings, members)


async def restore(connection: Connection, before: Snapshot, said: Iterable[str]) -> None:
    """Have the server as it was ``before``, as far as the statements ``said`` name what differs."""
    named = frozenset(word.lower() for text in said for word in _WORD.findall(text))
    now = await snapshot(connection, before.owner, is_superuser=bool(before.roles))
    for name in sorted(now.databases - before.databases):
        if name.lower() in named:
            await _drop_database(connection, name)
    by_grantor = connection.get_server_version().major >= _GRANTORS_SINCE
    members = _members(before, now, named, by_grantor=by_grantor)
    for line in [*_roles(before, now, named), *_settings(before, now, named), *members]:
        await connection.execute(line)


async def _drop_database(connection: Connection, name: str) -> None:
    await connection.execute(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS false IS_TEMPLATE false")
    await ledger.terminate(connection, name)
    await connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")


def _roles(before: Snapshot, now: Snapshot, named: frozenset[str]) -> Iterator[str]:
    for name in sorted(now.roles.keys() - before.roles.keys()):
        if name.lower() in named:
            yield f"DROP ROLE IF EXISTS {quoted(name)}"
    for name, role in sorted(before.roles.items()):
        if name.lower() in named and now.roles.get(name) != role:
            verb = "ALTER" if name in now.roles else "CREATE"
            yield f"{verb} ROLE {quoted(name)} WITH {_attributes(role)}"


def _settings(before: Snapshot, now: Snapshot, named: frozenset[str]) -> Iterator[str]:
    wrong = sorted(now.settings - before.settings)
    for verb, lines in (("RESET", wrong), ("SET", sorted(before.settings - now.settings))):
        for role, line in lines:
            if role.lower() in named and role in before.roles:
                what = line.partition("=")[0] if verb == "RESET" else assignment(line)
                yield f"ALTER ROLE {quoted(role)} {verb} {what}"


def _members(before: Snapshot, now: Snapshot, named: frozenset[str], *, by_grantor: bool) -> Iterator[str]:
    known = before.roles.keys()
    for role, member, grantor, _ in sorted(now.members - before.members):
        if {role, member} <= known and {role.lower(), member.lower()} & named:
            by = f" GRANTED BY {quoted(grantor)}" if by_grantor else ""
            yield f"REVOKE {quoted(role)} FROM {quoted(member)}{by}"
    for role, member, grantor, admin in sorted(before.members - now.members):
        if {role.lower(), member.lower()} & named:
            by = f" GRANTED BY {quoted(grantor)}" if by_grantor else ""
            yield f"GRANT {quoted(role)} TO {quoted(member)}{' WITH ADMIN OPTION' if admin else ''}{by}"


def _attributes(role: tuple[Any, ...]) -> str:
    switches = [name if role[at] else f"NO{name}" for name, at in _SWITCHES]
    *_, limit, password, until = role
    secret = "NULL" if password is None else "'" + password.replace("'", "''") + "'"
    return " ".join(
        [*switches, f"CONNECTION LIMIT {limit} PASSWORD {secret} VALID UNTIL '{until or 'infinity'}'"]
    )
