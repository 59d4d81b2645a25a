"""What a statement does, read from its text without a server.

In doubt a statement counts as a write, and one whose grammar does not hold as a plain one, which the server
refuses in its own words.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any, Literal

from pgharness.proxy.core.reading.bodies import body
from pgharness.proxy.core.reading.control import control
from pgharness.proxy.core.reading.effects import effects
from pgharness.proxy.core.reading.pieces import Piece
from pgharness.proxy.core.reading.set_configs import SetConfig, function_settings
from pgharness.proxy.core.reading.splitting import split

__all__ = ["Kind", "SetConfig", "Statement", "function_settings", "read"]

Kind = Literal[
    "plain", "begin", "commit", "rollback", "savepoint", "release", "rollback to", "prepare transaction",
    "commit prepared", "rollback prepared", "set transaction", "set characteristics", "set constraints",
    "set", "reset", "reset all", "show", "discard", "listen", "unlisten", "notify", "prepare", "execute",
    "deallocate", "declare", "fetch", "move", "close", "copy in", "copy out", "do", "call",
]  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script.

    Attributes:
        kind: What the proxy has to tell apart; all else is ``plain``.
        text: The statement without the comments before it. It may end in a comment.
        start: Where it stands in the script, in characters.
        verb: Its first key word.
        name: The savepoint, prepared statement, cursor, channel, transaction identifier or parameter; of
            DISCARD what is thrown away. A plain statement has one where it uses a cursor (WHERE CURRENT OF)
            or a prepared statement (EXPLAIN EXECUTE, CREATE TABLE AS EXECUTE).
        name_span: Where in ``text`` the name of a prepared statement or a cursor is written.
        everything: DEALLOCATE ALL, CLOSE ALL and UNLISTEN *, which have no name.
        body: The text of the statement that PREPARE, DECLARE, EXPLAIN or COPY holds, that of COPY with the
            parenthesis and what follows; of DO, CREATE FUNCTION and CREATE PROCEDURE their body.
        isolation: The level that BEGIN or SET names.
        value: The new value of SET where it is written out, and the identifier of a snapshot.
        writes: It can change rows, the schema, sequences or large objects, whatever other functions do.
        words: The functions that it may call, and other names before a parenthesis.
        standing: The words in it that name what a transaction or a connection has one of.
        changes_schema: It is DDL, or makes a table by SELECT INTO.
        changed_tables: The tables that it names as changed, without their schema.
        read_tables: Those that it reads; the table of an UPDATE or DELETE is in both.
        row_locks: FOR UPDATE and its kin.
        locked_tables: What LOCK keeps from others that want the same.
        skips: It does without a lock that another holds: SKIP LOCKED, NOWAIT and the functions that try.
        locks: A call takes an advisory lock for the session; ``unlocks``: one gives such locks back;
            ``advisory``: one has to do with advisory locks of any kind.
        defers: It sets constraints to be checked at another time, or makes one deferrable.
        set_configs: The calls of ``set_config``; of a DO also what SET and RESET in it change.
        setting_like: The literals that may name a parameter, where ``set_config`` is called.
        temp_table: The temporary table, view or sequence that it makes.
        outside: It cannot run in a transaction block.
        adds_value: ALTER TYPE ... ADD VALUE.
        ends_inside: The body of a DO or of a procedure commits or rolls back.
        cluster: It changes what all databases of the server share.
        backend_pid: It is ``SELECT pg_backend_pid()`` and no more.
        unlock_all: It is ``SELECT pg_advisory_unlock_all()`` and no more.
    """

    kind: Kind
    text: str = ""
    start: int = 0
    verb: str = ""
    name: str = ""
    name_span: tuple[int, int] = (0, 0)
    everything: bool = False
    body: str = ""
    isolation: str = ""
    read_only: bool | None = None
    deferrable: bool | None = None
    chain: bool = False
    snapshot: bool = False
    is_local: bool = False
    value: str | None = None
    writes: bool = True
    words: frozenset[str] = frozenset()
    standing: frozenset[str] = frozenset()
    changes_schema: bool = False
    changed_tables: frozenset[str] = frozenset()
    read_tables: frozenset[str] = frozenset()
    row_locks: bool = False
    locked_tables: frozenset[str] = frozenset()
    skips: bool = False
    locks: bool = False
    unlocks: bool = False
    advisory: bool = False
    notifies: bool = False
    defers: bool = False
    set_configs: tuple[SetConfig, ...] = ()
    setting_like: frozenset[str] = frozenset()
    temp_table: str = ""
    temp_on_commit: Literal["", "drop", "delete rows"] = ""
    hold: bool = False
    outside: bool = False
    adds_value: bool = False
    ends_inside: bool = False
    cluster: bool = False
    terminates: bool = False
    backend_pid: bool = False
    unlock_all: bool = False


def read(script: str) -> tuple[Statement, ...]:
    """The statements of ``script``, which semicolons divide; those with nothing in them are left out.

    What is read is kept for the scripts of late, unless they are so long that few would fill the memory.
    """
    return _kept(script) if len(script) < _LONG else _read(script)


def _read(script: str) -> tuple[Statement, ...]:
    return tuple(_statement(piece, text) for piece, text in split(script))


_LONG = 10_000
_kept = lru_cache(maxsize=4096)(_read)


_LEVELS = frozenset(("read uncommitted", "read committed", "repeatable read", "serializable"))
_ON, _OFF = frozenset(("on", "true", "yes", "1")), frozenset(("off", "false", "no", "0"))


def _characteristic(name: str, value: str) -> dict[str, Any]:
    """The fields of SET TRANSACTION, where a parameter that stands for it is set; else none."""
    if name == "transaction_isolation" and value in _LEVELS:
        return {"kind": "set transaction", "isolation": value.upper()}
    if name in ("transaction_read_only", "transaction_deferrable") and value in _ON | _OFF:
        return {"kind": "set transaction", name.removeprefix("transaction_"): value in _ON}
    return {}


def _statement(piece: Piece, text: str) -> Statement:
    fields = control(piece) or {"kind": "plain"}
    if fields["kind"] == "set":
        fields |= _characteristic(fields["name"], (fields["value"] or "").lower())
    inner, analyzes = fields.pop("inner", 0), fields.pop("analyzes", False)
    fields = effects(piece, fields["kind"], inner, analyzes=analyzes) | fields
    if inner or fields["changes_schema"]:
        fields["body"] = body(piece, text, inner)
    if fields["kind"] in ("notify", "set constraints"):
        fields |= {"notifies": True} if fields["kind"] == "notify" else {"defers": True}
    opened = 0
    while piece.marks[opened] == "(":
        opened += 1
    verb = piece.value(opened) if opened < len(piece.tokens) else ""
    return Statement(text=text, start=piece.start, verb=verb, **fields)
