"""Statements that control the transaction, the session or what is prepared in it: their kind and names.

Each reader is given a cursor on the first word. It answers with the fields of a ``Statement``, or with None
where the grammar does not hold: such a statement is a plain one, which the server refuses in its words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pgharness.proxy.core.reading.assignments import reset, set_, show
from pgharness.proxy.core.reading.modes import modes
from pgharness.proxy.core.reading.pieces import Cursor, Piece

Fields = dict[str, Any]
_DIRECTIONS = frozenset(
    ("next", "prior", "first", "last", "absolute", "relative", "all", "forward", "backward", "from", "in")
) | {"+", "-", "0"}


def control(piece: Piece) -> Fields | None:
    """The fields that the grammar of the statement's first word gives; None for a plain statement."""
    if not (reader := _READERS.get(piece.marks[0])):
        return _uses(piece)
    cursor = Cursor(piece)
    fields = reader(cursor)
    return fields if fields is not None and (cursor.done or "inner" in fields) else None


def _uses(piece: Piece, inner: int = 0) -> Fields | None:
    """The cursor or the prepared statement that a plain statement names."""
    for at in piece.places("current"):
        if piece.marks[at - 1] == "where" and piece.marks[at + 1] == "of":
            return _spanned("plain", Cursor(piece, at + 2))
    for at in piece.places("execute"):
        if at == inner or (piece.marks[at - 1] == "as" and "table" in piece.found):
            return _spanned("plain", Cursor(piece, at + 1))
    return None


def _begin(c: Cursor) -> Fields | None:
    if c.take("begin"):
        c.take_any("work", "transaction")
    elif not c.take("start", "transaction"):
        return None
    fields = {} if c.done else modes(c)
    return None if fields is None else {"kind": "begin", **fields}


def _commit(c: Cursor) -> Fields | None:
    if c.take("commit", "prepared"):
        return _identified("commit prepared", c.string())
    c.at += 1
    c.take_any("work", "transaction")
    return _chained("commit", c)


def _rollback(c: Cursor) -> Fields | None:
    if c.take("rollback", "prepared"):
        return _identified("rollback prepared", c.string())
    rollback = bool(c.take_any("rollback", "abort") == "rollback")
    c.take_any("work", "transaction")
    if rollback and c.take("to"):
        return _savepoint_of("rollback to", c)
    return _chained("rollback", c)


def _chained(kind: str, c: Cursor) -> Fields | None:
    if c.take("and", "chain"):
        return {"kind": kind, "chain": True}
    c.take("and", "no", "chain")
    return {"kind": kind}


def _savepoint(c: Cursor) -> Fields | None:
    c.at += 1
    return _named("savepoint", c.name())


def _release(c: Cursor) -> Fields | None:
    c.at += 1
    return _savepoint_of("release", c)


def _savepoint_of(kind: str, c: Cursor) -> Fields | None:
    if c.following:
        c.take("savepoint")
    return _named(kind, c.name())


def _prepare(c: Cursor) -> Fields | None:
    if c.piece.marks[1:3] == ["transaction", "'"]:
        c.at = 2
        return _identified("prepare transaction", c.string())
    c.at += 1
    fields = _spanned("prepare", c)
    if c.mark == "(":
        c.at = c.piece.past(c.at)
    return {**fields, "inner": c.at} if fields and c.take("as") and not c.done else None


def _execute(c: Cursor) -> Fields | None:
    c.at += 1
    fields = _spanned("execute", c)
    if c.mark == "(":
        c.at = c.piece.past(c.at)
        return fields if c.piece.marks[c.at - 1] == ")" else None
    return fields


def _deallocate(c: Cursor) -> Fields | None:
    c.at += 1
    if c.following:
        c.take("prepare")
    return {"kind": "deallocate", "everything": True} if c.take("all") else _spanned("deallocate", c)


def _declare(c: Cursor) -> Fields | None:
    c.at += 1
    fields = _spanned("declare", c)
    while c.take_any("binary", "insensitive", "asensitive", "scroll", "no"):
        pass
    if not fields or not c.take("cursor"):
        return None
    hold = c.take("with", "hold")
    c.take("without", "hold")
    return {**fields, "hold": hold, "inner": c.at} if c.take("for") and not c.done else None


def _fetch(c: Cursor) -> Fields | None:
    kind = c.mark
    last = len(c.piece.tokens) - 1
    if not _DIRECTIONS.issuperset(c.piece.marks[1:last]):
        return None
    c.at = max(last, 1)
    return _spanned(kind, c)


def _close(c: Cursor) -> Fields | None:
    c.at += 1
    return {"kind": "close", "everything": True} if c.take("all") else _spanned("close", c)


def _listen(c: Cursor) -> Fields | None:
    kind = c.mark
    c.at += 1
    if kind == "unlisten" and c.take("*"):
        return {"kind": kind, "everything": True}
    fields = _named(kind, c.name())
    if kind == "notify" and c.take(",") and c.string() is None:
        return None
    return fields


def _discard(c: Cursor) -> Fields | None:
    c.at += 1
    what = c.take_any("all", "plans", "sequences", "temp", "temporary")
    return _named("discard", "temp" if what == "temporary" else what)


def _copy(c: Cursor) -> Fields | None:
    """COPY from or to the client; with the query that is copied."""
    c.at += 1
    fields: Fields = {"kind": "plain"}
    if c.mark == "(":
        fields["inner"] = c.at + 1
        c.at = c.piece.past(c.at)
    else:
        c.take("binary")
        _, c.at = c.piece.qualified(c.at)
        if c.mark == "(":
            c.at = c.piece.past(c.at)
    way = c.take_any("to") if "inner" in fields else c.take_any("from", "to")
    if way and c.take_any("stdin", "stdout"):
        fields["kind"] = "copy in" if way == "from" else "copy out"
    c.at = len(c.piece.tokens)
    return fields


def _explain(c: Cursor) -> Fields | None:
    """EXPLAIN with the statement that it explains; ``analyzes`` where it runs it, too."""
    c.at += 1
    analyzes = False
    if c.mark == "(" and c.following not in ("select", "with", "values", "table", "("):
        end = c.piece.past(c.at)
        for at in range(c.at, end):
            if c.piece.marks[at] in ("analyze", "analyse") and c.piece.marks[at - 1] in ("(", ","):
                analyzes = _is_on(c.piece, at + 1)
        c.at = end
    else:
        analyzes = bool(c.take_any("analyze", "analyse"))
        c.take("verbose")
    return {**(_uses(c.piece, c.at) or {}), "kind": "plain", "inner": c.at, "analyzes": analyzes}


def _is_on(piece: Piece, at: int) -> bool:
    value = piece.value(at).lower() if piece.marks[at] else ""
    return value not in ("false", "off", "0")


def _simple(c: Cursor) -> Fields | None:
    kind = c.mark
    c.at = len(c.piece.tokens)
    return {"kind": kind}


def _named(kind: str, name: str | None) -> Fields | None:
    return {"kind": kind, "name": name} if name else None


def _identified(kind: str, name: str | None) -> Fields | None:
    """The fields of a statement of two-phase commit, whose identifier may be empty."""
    return {"kind": kind, "name": name} if name is not None else None


def _spanned(kind: str, c: Cursor) -> Fields | None:
    """The fields of a statement whose name can be replaced in its text."""
    at = c.at
    if not (name := c.name()):
        return None
    _, _, start, end = c.piece.tokens[at]
    return {"kind": kind, "name": name, "name_span": (start - c.piece.start, end - c.piece.start)}


_READERS: dict[str, Callable[[Cursor], Fields | None]] = {
    "begin": _begin,
    "start": _begin,
    "commit": _commit,
    "end": _commit,
    "rollback": _rollback,
    "abort": _rollback,
    "savepoint": _savepoint,
    "release": _release,
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": _deallocate,
    "declare": _declare,
    "fetch": _fetch,
    "move": _fetch,
    "close": _close,
    "listen": _listen,
    "unlisten": _listen,
    "notify": _listen,
    "discard": _discard,
    "copy": _copy,
    "explain": _explain,
    "do": _simple,
    "call": _simple,
    "set": set_,
    "reset": reset,
    "show": show,
}
