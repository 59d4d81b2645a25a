"""SET, RESET and SHOW: the parameter that they name, in one spelling, and its new value."""

from __future__ import annotations

from typing import Any

from pgharness.proxy.core.reading.modes import modes
from pgharness.proxy.core.reading.pieces import Cursor, quoted

_OLD_NAMES = {"sort_mem": "work_mem", "vacuum_mem": "maintenance_work_mem"}
_LISTS_OF_NAMES = frozenset((
    "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
    "temp_tablespaces", "unix_socket_directories",
))  # fmt: skip
_SPECIAL = (
    (("time", "zone"), "timezone"),
    (("session", "authorization"), "session_authorization"),
    (("schema",), "search_path"),
    (("names",), "client_encoding"),
    (("role",), "role"),
    (("xml", "option"), "xmloption"),
)
_AFTER_A_PARAMETER = ("=", "to", ".", "from")


def set_(c: Cursor) -> dict[str, Any] | None:
    """The fields of a SET of any kind; None where its grammar does not hold."""
    c.at += 1
    if c.take("constraints"):
        return _constraints(c)
    local = False
    if c.following not in _AFTER_A_PARAMETER:
        local = c.take("local")
        if not local and c.piece.marks[c.at : c.at + 2] not in (
            ["session", "characteristics"],
            ["session", "authorization"],
        ):
            c.take("session")
    if c.take("session", "characteristics", "as", "transaction"):
        return _moded("set characteristics", local, c)
    if c.take("transaction", "snapshot"):
        value = c.string()
        return None if value is None else _set("set transaction", "", local, value) | {"snapshot": True}
    if c.mark == "transaction" and c.following not in _AFTER_A_PARAMETER:
        c.at += 1
        return _moded("set transaction", local, c)
    return assignment(c, local=local)


def assignment(c: Cursor, *, local: bool) -> dict[str, Any] | None:
    """What follows ``SET [LOCAL]``: a parameter and its value."""
    if c.following in _AFTER_A_PARAMETER or not (name := special(c)):
        return _generic(c, local=local)
    if c.done and name != "client_encoding":
        return None
    value = _zone(c) if name == "timezone" else _one(c)
    return _set("set", name, local, quoted(value) if value and name == "search_path" else value)


def special(c: Cursor) -> str:
    """Go past the words that stand for a parameter after SET, RESET and SHOW; empty if none are next."""
    for words, name in _SPECIAL:
        if c.take(*words):
            return name
    return ""


def parameter(c: Cursor) -> str:
    """Go past the name of a parameter; empty if none is next."""
    parts = [c.name()]
    while parts[-1] and c.take("."):
        parts.append(c.name())
    return canonical(".".join(parts)) if all(parts) else ""


def canonical(name: str) -> str:
    """The parameter's name in lower case, and not one of its old ones."""
    name = name.lower()
    return _OLD_NAMES.get(name, name)


def reset(c: Cursor) -> dict[str, Any] | None:
    c.at += 1
    if c.take("all"):
        return {"kind": "reset all"}
    name = _shown(c)
    return {"kind": "reset", "name": name} if name else None


def show(c: Cursor) -> dict[str, Any] | None:
    c.at += 1
    name = "all" if c.take("all") else _shown(c)
    return {"kind": "show", "name": name} if name else None


def _shown(c: Cursor) -> str:
    if c.take("transaction", "isolation", "level"):
        return "transaction_isolation"
    for words, name in _SPECIAL[:2]:
        if c.take(*words):
            return name
    return parameter(c)


def _constraints(c: Cursor) -> dict[str, Any] | None:
    if not c.take("all"):
        while True:
            name, c.at = c.piece.qualified(c.at)
            if not name:
                return None
            if not c.take(","):
                break
    return {"kind": "set constraints"} if c.take_any("deferred", "immediate") else None


def _moded(kind: str, local: bool, c: Cursor) -> dict[str, Any] | None:
    fields = modes(c)
    return None if fields is None else {"kind": kind, "is_local": local, **fields}


def _set(kind: str, name: str, local: bool, value: str | None) -> dict[str, Any]:
    return {"kind": kind, "name": name, "is_local": local, "value": value}


def _generic(c: Cursor, *, local: bool) -> dict[str, Any] | None:
    name = parameter(c)
    if not name:
        return None
    if c.take("from", "current"):
        return _set("set", name, local, None)
    if not c.take_any("=", "to") or c.done:
        return None
    if c.take("default"):
        return _set("set", name, local, None)
    values = []
    while True:
        value = _one(c)
        if value is None:
            return None
        values.append(quoted(value) if name in _LISTS_OF_NAMES else value)
        if not c.take(","):
            return _set("set", name, local, ", ".join(values))


def _one(c: Cursor) -> str | None:
    """Go past one value: a literal, a number with its sign, or a word; None for DEFAULT and what is none."""
    sign = c.take_any("+", "-")
    if c.mark == "0":
        c.at += 1
        return sign.strip("+") + c.piece.value(c.at - 1)
    if sign or c.done or c.take("default"):
        return None
    if c.mark in ("'", '"') or c.piece.name(c.at) or c.mark in ("true", "false", "on"):
        c.at += 1
        return c.piece.value(c.at - 1)
    return None


def _zone(c: Cursor) -> str | None:
    if c.take("interval"):
        c.at = len(c.piece.tokens)
        return None
    return None if c.take_any("local", "default") else _one(c)
