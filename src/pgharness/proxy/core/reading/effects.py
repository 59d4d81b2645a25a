"""What a statement can do, read from its tokens: whether it writes, what it calls, what it locks."""

from __future__ import annotations

from typing import Any

from pgharness.proxy.core.reading.bodies import longest_literal
from pgharness.proxy.core.reading.ddl import at_statements, changes_cluster, ddl, ends_inside
from pgharness.proxy.core.reading.keywords import RESERVED
from pgharness.proxy.core.reading.pieces import Piece
from pgharness.proxy.core.reading.set_configs import set_configs, setting_like, settings_in
from pgharness.proxy.core.reading.tables import tables, verbs
from pgharness.proxy.core.standing import WORDS

Fields = dict[str, Any]
_READS = frozenset(("select", "values", "table", "show", "fetch", "with", "close", "move"))
_CONTROL = frozenset((
    "begin", "commit", "rollback", "savepoint", "release", "rollback to", "set transaction",
    "set characteristics", "set constraints", "set", "reset", "reset all", "show", "listen", "unlisten",
    "notify", "prepare", "deallocate", "fetch", "move", "close",
))  # fmt: skip
_WRITERS = frozenset((
    "nextval", "setval", "lo_create", "lo_creat", "lo_from_bytea", "lo_put", "lo_unlink", "lo_import",
    "lowrite", "lo_truncate", "lo_truncate64", "pg_logical_emit_message",
))  # fmt: skip
_SCHEMA = frozenset((
    "create", "alter", "drop", "reindex", "comment", "grant", "revoke", "do", "import", "refresh", "security",
    "reassign",
))  # fmt: skip
_QUERY = frozenset(("select", "values", "table", "with", "insert", "update", "delete", "merge"))
_NO_CALLS = RESERVED | {"values", "exists", "row"}
_SESSION_LOCKS = frozenset(
    f"pg_{attempt}advisory_lock{shared}" for attempt in ("", "try_") for shared in ("", "_shared")
)
_UNLOCKS = frozenset(("pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all"))
_ADVISORY = _UNLOCKS | _SESSION_LOCKS | {name.replace("_lock", "_xact_lock") for name in _SESSION_LOCKS}
_TRIES = frozenset(name for name in _ADVISORY if "_try_" in name)
_COMPATIBLE = tuple(f"in {mode} mode" for mode in ("access share", "row share", "row exclusive", "share"))
"""The modes of LOCK that two transactions can have at once."""
_SPECIAL = _ADVISORY | {"set_config", "pg_notify", "pg_terminate_backend", "pg_backend_pid"}


def effects(piece: Piece, kind: str, inner: int, *, analyzes: bool) -> Fields:
    """The fields that say what a statement can do; ``inner`` is where the one that it holds begins."""
    marks = piece.marks
    first = inner
    while marks[first] == "(":
        first += 1
    acting = verbs(piece, first)
    words, into = _calls(piece), _into(piece, acting)
    does = bool(acting or into) or not words.isdisjoint(_WRITERS)
    changed, read = tables(piece, first, acting)
    queries = marks[first] in _QUERY or (marks[first] == "create" and "table" in marks[first : first + 4])
    row_locks = queries and "for" in piece.found and _locks_rows(piece)
    fields = {
        "writes": _writes(piece, kind, first, does=does, analyzes=analyzes),
        "words": words,
        "changes_schema": marks[0] in _SCHEMA or (bool(into) and (marks[0] != "explain" or analyzes)),
        "changed_tables": changed,
        "read_tables": read,
        "row_locks": row_locks,
        "standing": piece.found & WORDS,
        "skips": _skips(piece, words, row_locks=row_locks),
        **ddl(piece, into),
    }
    if marks[0] == "lock":
        fields["locked_tables"] = _locked(piece)
    if not words.isdisjoint(_SPECIAL):
        fields |= _called(piece, words)
    return fields | _done(piece, words) if kind == "do" else fields


def _calls(piece: Piece) -> frozenset[str]:
    """The names before a parenthesis, less the key words that stand there in every other statement."""
    tokens = piece.tokens
    calls = [tokens[at - 1] for at, mark in enumerate(piece.marks) if mark == "(" and at]
    return frozenset([value for kind, value, _, _ in calls if kind in ("word", "quoted")]) - _NO_CALLS


def _into(piece: Piece, acting: frozenset[int]) -> int:
    """Where SELECT INTO names its table; 0 if the statement has none."""
    if piece.marks[0] == "import":
        return 0
    for at in piece.places("into"):
        if at - 1 not in acting and piece.marks[at - 1] not in ("as", "."):
            return at + 1
    return 0


def _writes(piece: Piece, kind: str, first: int, *, does: bool, analyzes: bool) -> bool:
    verb = piece.marks[0]
    if kind in _CONTROL or (verb == "explain" and not analyzes):
        return False
    if kind == "discard":
        return piece.marks[1] not in ("plans", "sequences")
    if verb == "copy" and not first:
        return not piece.found.isdisjoint(("from", "program"))
    return does or piece.marks[first] not in _READS


def _locks_rows(piece: Piece) -> bool:
    for at in piece.places("for"):
        one, two, three = (*piece.marks[at + 1 : at + 4], "", "")[:3]
        if one in ("update", "share") or (one, two) == ("key", "share"):
            return True
        if (one, two, three) == ("no", "key", "update"):
            return True
    return False


def _locked(piece: Piece) -> frozenset[str]:
    """The tables that LOCK keeps to itself: in a mode that two cannot have at once."""
    marks, found = piece.marks, set[str]()
    at = 2 if marks[1] == "table" else 1
    while at < len(piece.tokens):
        name, at = piece.qualified(at + (marks[at] == "only"))
        found.add(name)
        at += marks[at : at + 1] == ["*"]
        if marks[at : at + 1] != [","]:
            break
        at += 1
    return frozenset() if " ".join(marks[at:]).startswith(_COMPATIBLE) else frozenset(found - {""})


def _skips(piece: Piece, words: frozenset[str], *, row_locks: bool) -> bool:
    if not words.isdisjoint(_TRIES):
        return True
    if row_locks and any(piece.marks[at + 1] == "locked" for at in piece.places("skip")):
        return True
    return "nowait" in piece.found and (row_locks or piece.marks[0] == "lock")


def _called(piece: Piece, words: frozenset[str]) -> Fields:
    """What functions of PostgreSQL do that few statements call."""
    value = "".join([token.value for token in piece.tokens]) if piece.marks[0] == "select" else ""
    only = value.removeprefix("select").removeprefix("pg_catalog.")
    return {
        "locks": not words.isdisjoint(_SESSION_LOCKS),
        "unlocks": not words.isdisjoint(_UNLOCKS),
        "advisory": not words.isdisjoint(_ADVISORY),
        "notifies": "pg_notify" in words,
        "terminates": "pg_terminate_backend" in words,
        "backend_pid": only == "pg_backend_pid()",
        "unlock_all": only == "pg_advisory_unlock_all()",
        "set_configs": set_configs(piece),
        "setting_like": setting_like(piece),
    }


def _done(piece: Piece, words: frozenset[str]) -> Fields:
    """What the body of a DO does, as far as its text tells."""
    body = Piece.of(longest_literal(piece))
    words |= _calls(body)
    changed, read = tables(body, 0, verbs(body, 0))
    return _called(body, words) | {
        "ends_inside": ends_inside(piece),
        "words": words,
        "standing": (piece.found | body.found) & WORDS,
        "changed_tables": changed,
        "read_tables": read,
        "skips": not words.isdisjoint(_TRIES),
        "cluster": changes_cluster(body),
        "defers": "deferrable" in body.found or any(at_statements(body, "set", "constraints")),
        "notifies": "pg_notify" in words or any(at_statements(body, "notify")),
        "set_configs": settings_in(body),
    }
