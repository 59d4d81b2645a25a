"""Definitions that need care: what runs in no transaction, what is the cluster's, what is temporary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pgharness.proxy.core.reading.pieces import Piece

_CREATES = frozenset(("or", "replace", "local", "global", "unlogged", "unique", "recursive"))
_CLUSTER = frozenset(("role", "user", "group", "database", "tablespace"))
_OF_CLUSTER = frozenset(("role", "database", "tablespace"))
_DDL = frozenset(
    ("create", "alter", "drop", "reindex", "comment", "grant", "revoke", "vacuum", "cluster", "security")
)
_BEFORE_A_STATEMENT = frozenset(("", ";", "begin", "then", "else", "loop", ">>"))


def ddl(piece: Piece, into: int) -> dict[str, Any]:
    """The fields of a definition; ``into`` is where SELECT INTO names its table."""
    verb = piece.marks[0]
    if verb in _DDL:
        return {
            "defers": "deferrable" in piece.found,
            "outside": _outside(piece, verb),
            "adds_value": piece.marks[:2] == ["alter", "type"] and _follows(piece, "add", "value"),
            "cluster": _is_of_cluster(piece, verb),
            "ends_inside": verb == "create" and "procedure" in piece.marks[1:4] and ends_inside(piece),
            **(_temporary(piece) if verb == "create" else {}),
        }
    return _temporary_table(piece, into) if into else {}


def ends_inside(piece: Piece) -> bool:
    """Whether the body of a DO or a procedure commits or rolls back."""
    bodies = [Piece.of(piece.value(at)) for at in piece.places("'")]
    return any(
        body.marks[at + 1] in ("", ";", "and", "work", "transaction", "end")
        for body in bodies
        for word in ("commit", "rollback")
        for at in at_statements(body, word)
    )


def at_statements(body: Piece, *words: str) -> Iterator[int]:
    """Where a statement of a function begins with these words."""
    for at in body.places(words[0]):
        before = body.marks[at - 1] if at else ""
        if before in _BEFORE_A_STATEMENT and body.marks[at : at + len(words)] == list(words):
            yield at


def _kind_of_object(piece: Piece) -> str:
    """What CREATE, ALTER or DROP is about, by its first word."""
    at = 1
    while piece.marks[at] in _CREATES:
        at += 1
    return piece.marks[at]


def _outside(piece: Piece, verb: str) -> bool:
    """Whether PostgreSQL refuses the statement in a transaction block."""
    if verb == "cluster":
        return not any(piece.name(at) for at in range(_after_options(piece), len(piece.tokens)))
    if verb == "reindex":
        what = piece.marks[_after_options(piece)]
        return "concurrently" in piece.found or what in ("database", "system", "schema")
    what = _kind_of_object(piece)
    if verb in ("create", "drop"):
        return _is_made_outside(piece, what)
    if verb == "alter":
        moved = what == "database" and _follows(piece, "set", "tablespace")
        return moved or what == "system" or {"detach", "concurrently"} <= piece.found
    return verb == "vacuum"


def _is_made_outside(piece: Piece, what: str) -> bool:
    if what == "subscription":
        return not any(piece.marks[at + 1 : at + 3] == ["=", "false"] for at in _slots(piece))
    return what in ("database", "tablespace") or (what == "index" and "concurrently" in piece.found)


def _slots(piece: Piece) -> Iterator[int]:
    """The options of a subscription that can spare it a replication slot."""
    yield from piece.places("connect")
    yield from piece.places("create_slot")


def _after_options(piece: Piece) -> int:
    at = 1
    if piece.marks[at] == "(":
        at = piece.past(at)
    return at + (piece.marks[at] == "verbose")


def _is_of_cluster(piece: Piece, verb: str) -> bool:
    marks, found = piece.marks, piece.found
    if verb in ("create", "alter", "drop"):
        what = _kind_of_object(piece)
        return (what in _CLUSTER and marks[2] != "mapping") or (verb == "alter" and what == "system")
    if verb in ("grant", "revoke"):
        return "on" not in found or any(
            marks[at + 1] in ("tablespace", "parameter") for at in piece.places("on")
        )
    return verb in ("comment", "security") and any(marks[at + 1] in _OF_CLUSTER for at in piece.places("on"))


def changes_cluster(body: Piece) -> bool:
    """Whether a statement in the body of a DO does."""
    return any(
        any(at_statements(body, verb, what))
        for verb in ("create", "alter", "drop")
        for what in sorted(_CLUSTER)
    )


def _temporary(piece: Piece) -> dict[str, Any]:
    marks, at = piece.marks, 1
    temporary = False
    while marks[at] in _CREATES or marks[at] in ("temp", "temporary"):
        temporary |= marks[at] in ("temp", "temporary")
        at += 1
    if marks[at] not in ("table", "view", "sequence"):
        return {}
    at += 1
    if marks[at] == "if":
        at += 3
    if not temporary and piece.label(at) != "pg_temp":
        return {}
    name, _ = piece.qualified(at)
    return {"temp_table": name, "temp_on_commit": _on_commit(piece)}


def _temporary_table(piece: Piece, at: int) -> dict[str, Any]:
    at += piece.marks[at] in ("local", "global")
    temporary = piece.marks[at] in ("temp", "temporary")
    at += temporary
    at += piece.marks[at] == "table"
    return {"temp_table": piece.qualified(at)[0]} if temporary or piece.label(at) == "pg_temp" else {}


def _on_commit(piece: Piece) -> str:
    for at in piece.places("on"):
        if piece.marks[at + 1] == "commit":
            return {"drop": "drop", "delete": "delete rows"}.get(piece.marks[at + 2], "")
    return ""


def _follows(piece: Piece, one: str, other: str) -> bool:
    return any(piece.marks[at + 1] == other for at in piece.places(one))
