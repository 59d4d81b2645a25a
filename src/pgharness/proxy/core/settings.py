"""Run-time parameters: each client has its own, and the server is told whenever they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ROLE, AUTHORIZATION = "role", "session_authorization"
REPORTED = {
    name.lower(): name
    for name in (
        *(
            "application_name",
            "client_encoding",
            "DateStyle",
            "default_transaction_read_only",
            "IntervalStyle",
        ),
        *("is_superuser", "session_authorization", "standard_conforming_strings", "TimeZone", "search_path"),
    )
}
"""The parameters whose changes PostgreSQL reports, by their lower-case names."""


def literal(text: str) -> str:
    """``text`` as a literal of SQL."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def identifier(name: str) -> str:
    """``name`` as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def switch(now: Mapping[str, str], wanted: Mapping[str, str], defaults: Mapping[str, str]) -> list[str]:
    """The SQL that leads from the settings ``now`` to those ``wanted``; what neither names stands as it is.

    SESSION AUTHORIZATION resets the role, and under a role others may be out of reach; so the role goes
    first and comes last.
    """
    if now == wanted:
        return []
    names = [*wanted, *(name for name in now if name not in wanted)]
    target = {name: wanted.get(name, defaults.get(name, "")) for name in names}
    changed = [name for name in names if now.get(name, defaults.get(name, "")) != target[name]]
    if not changed:
        return []
    plain = [(name, target[name]) for name in changed if name not in (ROLE, AUTHORIZATION)]
    role_now, role_wanted = now.get(ROLE, "none"), target.get(ROLE, "none")
    moves: list[tuple[str, str]] = []
    if AUTHORIZATION in changed or (AUTHORIZATION in now and plain):
        owner = defaults.get(AUTHORIZATION, "")
        authorized = now.get(AUTHORIZATION, owner)
        if plain and authorized != owner:
            moves.append((AUTHORIZATION, owner))
            authorized, role_now = owner, "none"
        elif role_now != "none":
            moves.append((ROLE, "none"))
            role_now = "none"
        moves += plain
        if target.get(AUTHORIZATION, owner) != authorized:
            moves.append((AUTHORIZATION, target.get(AUTHORIZATION, owner)))
            role_now = "none"
    else:
        if plain and role_now != "none":
            moves.append((ROLE, "none"))
            role_now = "none"
        moves += plain
    if role_now != role_wanted:
        moves.append((ROLE, role_wanted))
    return [set_all(moves)] if moves else []


def set_all(values: Iterable[tuple[str, str]]) -> str:
    """Set parameters until the transaction, or the savepoint, is rolled back."""
    return _set(values, "true")


def set_for_session(values: Iterable[tuple[str, str]]) -> str:
    """Set parameters for good, if the transaction commits."""
    return _set(values, "false")


def _set(values: Iterable[tuple[str, str]], is_local: str) -> str:
    calls = (
        f"pg_catalog.set_config({literal(name)}, {literal(value)}, {is_local})" for name, value in values
    )
    return "SELECT " + ", ".join(calls)


def current(names: Iterable[str]) -> str:
    """Ask for the values of parameters, one column each; NULL for one that nobody has set."""
    return "SELECT " + ", ".join(f"pg_catalog.current_setting({literal(name)}, true)" for name in names)
