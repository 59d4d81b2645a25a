"""What a statement can do, read from its tokens: whether it writes, what it calls, what it locks."""

from __future__ import annotations

from typing import Any

from pgharness.proxy.core.ddl import ddl, ends_inside
from pgharness.proxy.core.pieces import RESERVED, Piece
from pgharness.proxy.core.set_configs import set_configs, setting_like, settings_in
from pgharness.proxy.core.tables import tables, verbs

_READS = frozenset(("select", "values", "table", "show", "fetch", "with", "close", "move"))
_CONTROL = frozenset(
    (
        "begin", "commit", "rollback", "savepoint", "release", "rollback to", "set transaction",
        "set characteristics", "set constraints", "set", "reset", "reset all", "show", "listen", "unlisten",
        "notify", "prepare", "deallocate", "fetch", "move", "close",
    )
)  # fmt: skip
_WRITERS = frozenset(
    """nextval setval lo_create lo_creat lo_from_bytea lo_put lo_unlink lo_import lowrite lo_truncate
    lo_truncate64 pg_logical_emit_message""".split()
)
_SCHEMA = frozenset(
    "create alter drop reindex comment grant revoke do import refresh security reassign".split()
)
_NO_CALLS = RESERVED | {"values", "exists", "by", "over", "filter", "row", "set", "materialized", "key"}
_SESSION_LOCKS = frozenset(
    f"pg_{attempt}advisory_lock{shared}" for attempt in ("", "try_") for shared in ("", "_shared")
)
_UNLOCKS = frozenset(("pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all"))
_ADVISORY = _UNLOCKS | _SESSION_LOCKS | {name.replace("_lock", "_xact_lock") for name in _SESSION_LOCKS}
_TRIES = frozenset(name for name in _ADVISORY if "_try_" in name)
_QUERY = frozenset(("select", "values", "table", "with", "insert", "update", "delete", "merge"))


def effects(piece: Piece, kind: str, inner: int, *, analyzes: bool) -> dict[str, Any]:
    """The fields of a ``Statement`` that say what it can do; ``inner`` is where the one within it begins."""
    marks = piece.marks
    first = inner
    while marks[first] == "(":
        first += 1
    acting = verbs(piece, first)
    words = _calls(piece)
    into = _into(piece, acting)
    found: dict[str, Any] = {}
    if marks[0] in ("create", "do", "alter", "drop") or not words.isdisjoint(_SPECIAL_CALLS):
        found = _specials(piece, words)
        words = found.get("words", words)
    changed, read = tables(piece, first, acting)
    row_locks = marks[first] in _QUERY and _locks_rows(piece)
    return {
        "writes": _writes(
            piece, kind, first, analyzes=analyzes, does=bool(acting or into) or not words.isdisjoint(_WRITERS)
        ),
        "words": words,
        "changes_schema": marks[0] in _SCHEMA or marks[first] in _SCHEMA or bool(into),
        "changed_tables": changed,
        "read_tables": read,
        "row_locks": row_locks,
        "skips": _skips(piece, words, row_locks=row_locks),
        **ddl(piece, into),
        **found,
    }


def _calls(piece: Piece) -> frozenset[str]:
    tokens = piece.tokens
    return (
        frozenset(
            tokens[at - 1][1]
            for at, mark in enumerate(piece.marks)
            if mark == "(" and at and tokens[at - 1][0] in ("word", "quoted")
        )
        - _NO_CALLS
    )


def _into(piece: Piece, acting: frozenset[int]) -> int:
    """Where SELECT INTO names its table; 0 if the statement has none."""
    for at in piece.places("into"):
        if at - 1 not in acting and piece.marks[at - 1] not in ("as", ".") and piece.marks[0] != "import":
            return at + 1
    return 0


def _writes(piece: Piece, kind: str, first: int, *, analyzes: bool, does: bool) -> bool:
    marks = piece.marks
    if kind in _CONTROL or (marks[0] == "explain" and not analyzes):
        return False
    if kind == "discard":
        return marks[1] not in ("plans", "sequences")
    if marks[0] == "copy" and first < 2:
        return marks[0] == "copy" and (kind == "copy in" or "program" in piece.found or "from" in piece.found)
    return marks[first] not in _READS or does


def _locks_rows(piece: Piece) -> bool:
    for at in piece.places("for"):
        following = piece.marks[at + 1 : at + 4]
        if following[:1] in (["update"], ["share"]) or following[:2] == ["key", "share"]:
            return True
        if following == ["no", "key", "update"]:
            return True
    return False


def _skips(piece: Piece, words: frozenset[str], *, row_locks: bool) -> bool:
    if not words.isdisjoint(_TRIES):
        return True
    if row_locks and any(piece.marks[at + 1] == "locked" for at in piece.places("skip")):
        return True
    return "nowait" in piece.found and (row_locks or piece.marks[0] == "lock")


_SPECIAL_CALLS = _ADVISORY | {"set_config", "pg_notify", "pg_terminate_backend", "pg_backend_pid"}


def _specials(piece: Piece, words: frozenset[str]) -> dict[str, Any]:
    """What few statements do."""
    body: tuple[Any, ...] = ()
    fields: dict[str, Any] = {}
    if piece.marks[0] == "do":
        for at in piece.places("'"):
            inside = Piece.of(piece.value(at))
            words |= _calls(inside)
            body += settings_in(inside)
            changed, read = tables(inside, 0, verbs(inside, 0))
            fields |= {"changed_tables": changed, "read_tables": read}
            fields["defers"] = "deferrable" in inside.found or "constraints" in inside.found
        fields["words"] = words
    if piece.marks[0] in ("do", "create"):
        fields["ends_inside"] = ends_inside(piece)
    text = "".join(token.value for token in piece.tokens).removeprefix("select").removeprefix("pg_catalog.")
    return fields | {
        "locks": not words.isdisjoint(_SESSION_LOCKS),
        "unlocks": not words.isdisjoint(_UNLOCKS),
        "advisory": not words.isdisjoint(_ADVISORY),
        "notifies": "pg_notify" in words,
        "terminates": "pg_terminate_backend" in words,
        "backend_pid": piece.marks[0] == "select" and text == "pg_backend_pid()",
        "unlock_all": piece.marks[0] == "select" and text == "pg_advisory_unlock_all()",
        "set_configs": set_configs(piece) + body,
        "setting_like": setting_like(piece),
    }
