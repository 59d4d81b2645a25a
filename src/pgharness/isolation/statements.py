"""What a statement means for the transaction it runs in, read from its text.

Only what cannot be asked of the server is read here: transaction control has to be translated
before it is sent, and whether a statement can have written decides whether a later rollback
takes somebody else's work with it. In doubt a statement counts as a write.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

Kind = Literal[
    "plain", "empty", "savepoint", "release", "rollback to", "begin", "commit", "rollback", "refused"
]


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """One statement: its kind, the savepoint it names, and what it can do.

    ``writes`` is False only where the text cannot change a row whatever its functions do not;
    ``words`` are the identifiers before a parenthesis, the functions it may call.
    ``changes_schema`` is True for DDL. ``local_setting`` names the parameter of a ``SET LOCAL``,
    ``session_setting`` that of a SET or RESET for the whole session. ``defers`` is True where the
    statement may make a constraint deferrable, or sets one to be checked at another time; ``ends`` where
    one of several statements may end the transaction; ``locks`` where a call takes a lock for the session,
    ``unlocks`` where one gives such locks back. ``row_locks`` is True for ``FOR UPDATE`` and its kin,
    ``skips`` where the statement does without a lock that another holds, ``notifies`` for a NOTIFY.
    ``changed_tables`` and ``read_tables`` are the tables it names as such, without their schema.
    """

    kind: Kind
    name: str = ""
    writes: bool = True
    words: frozenset[str] = frozenset()
    changes_schema: bool = False
    local_setting: str = ""
    session_setting: str = ""
    defers: bool = False
    ends: bool = False
    locks: bool = False
    unlocks: bool = False
    row_locks: bool = False
    skips: bool = False
    notifies: bool = False
    changed_tables: frozenset[str] = frozenset()
    read_tables: frozenset[str] = frozenset()


_COMMENT = re.compile(
    r"""(?<!\w)e'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | \$(\w*)\$.*?\$\1\$"""
    r"| (?P<comment> --[^\n]* | /\*.*?\*/ )",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
_NAME = r'("(?:[^"]|"")+"|[\w$]+)'
_CONTROL: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(rf"savepoint\s+{_NAME}\s*;?\s*$", re.IGNORECASE), "savepoint"),
    (re.compile(rf"release\s+(?:savepoint\s+)?{_NAME}\s*;?\s*$", re.IGNORECASE), "release"),
    (
        re.compile(
            rf"rollback\s+(?:work\s+|transaction\s+)?to\s+(?:savepoint\s+)?{_NAME}\s*;?\s*$", re.IGNORECASE
        ),
        "rollback to",
    ),
    (re.compile(r"(?:begin|start\s+transaction)\b[\w\s,]*;?\s*$", re.IGNORECASE), "begin"),
    (re.compile(r"(?:commit|end)\b(?!\s+prepared)[\w\s]*;?\s*$", re.IGNORECASE), "commit"),
    (re.compile(r"(?:rollback|abort)\b(?!\s+prepared)[\w\s]*;?\s*$", re.IGNORECASE), "rollback"),
    (
        re.compile(r"(?:prepare\s+transaction|(?:commit|rollback)\s+prepared)\b", re.IGNORECASE),
        "refused",
    ),
    (re.compile(r"(listen)\b", re.IGNORECASE), "refused"),
)
SAVEPOINTS: frozenset[Kind] = frozenset(("savepoint", "release", "rollback to"))
"""The kinds of statement that set, end and return to a savepoint."""
_STARTS_CONTROL = frozenset(
    ("savepoint", "release", "rollback", "begin", "start", "commit", "end", "abort", "prepare", "listen")
)
_READS = frozenset(
    ("select", "values", "table", "show", "fetch", "with", "explain", "declare", "close", "move")
)
_LOCKING = re.compile(r"\bfor\s+(?:no\s+key\s+)?update\b", re.IGNORECASE)
_WRITING = re.compile(
    r"\b(?:insert|update|delete|merge|into|analyze|analyse|nextval|setval)\b", re.IGNORECASE
)
_CALL = re.compile(r"([^\W\d][\w$]*)\"?\s*\(")
_SCHEMA = frozenset(("create", "alter", "drop", "reindex", "comment", "grant", "revoke", "do", "import"))
_TABLE = r'(?:(?:"[^"]+"|\w+)\s*\.\s*)?("[^"]+"|\w+)'
_CHANGED = re.compile(
    rf"\b(?:insert\s+into|(?<!do\s)update|delete\s+from|merge\s+into|copy|truncate(?:\s+table)?)\s+(?:only\s+)?{_TABLE}",
    re.IGNORECASE,
)
_READ = re.compile(rf"\b(?:from|join|using|(?<!do\s)update)\s+(?:only\s+|lateral\s+)?{_TABLE}", re.IGNORECASE)
_READ_NEXT = re.compile(rf"(?:\s+(?:as\s+)?\w+)?\s*,\s*(?:only\s+|lateral\s+)?{_TABLE}", re.IGNORECASE)
_NO_TABLES = frozenset(
    ("select", "set", "of", "nowait", "skip", "stdin", "stdout", "unnest", "generate_series")
)
_ENDS = re.compile(
    r";\s*(?:commit|rollback|end|abort|prepare\s+transaction)\b"
    r"|^(?:commit|rollback|end|abort|prepare\s+transaction)\b[^;]*;",
    re.IGNORECASE,
)
_SESSION_LOCKS = frozenset(
    f"pg_{attempt}advisory_lock{shared}" for attempt in ("", "try_") for shared in ("", "_shared")
)
_UNLOCKS = frozenset(("pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all"))
ADVISORY_LOCKS = _SESSION_LOCKS | frozenset(
    name.replace("advisory", "advisory_xact") for name in _SESSION_LOCKS
)
"""The functions that take an advisory lock."""
_TRIES = frozenset(name for name in ADVISORY_LOCKS if "_try_" in name)
_ROW_LOCKS = re.compile(
    r"\bfor\s+(?:no\s+key\s+update|update|key\s+share|share)\b"
    r"(?:\s+of\s+[\w.\"]+(?:\s*,\s*[\w.\"]+)*)?(\s+(?:skip\s+locked|nowait))?",
    re.IGNORECASE,
)
_DEFERS = re.compile(r"\bdeferrable\b|^set\s+constraints\b", re.IGNORECASE)
_SET_LOCAL = re.compile(r"set\s+local\s+(time\s+zone|session\s+authorization|[\w.\"]+)", re.IGNORECASE)
_SET_SESSION = re.compile(
    r"set\s+(session\s+authorization)\b"
    r"|set\s+(?:session\s+)?(?!(?:local|session|transaction|constraints|characteristics)\b)(time\s+zone|[\w.\"]+)"
    r"|reset\s+(?!all\b)(session\s+authorization|[\w.\"]+)",
    re.IGNORECASE,
)
_CHARACTERISTICS = re.compile(
    r"set\s+session\s+characteristics\s+as\s+transaction\b.*\bread\s+(?:only|write)\b",
    re.IGNORECASE | re.DOTALL,
)
_SPELLINGS = {
    "time zone": "timezone",
    "session authorization": "session_authorization",
    "schema": "search_path",
    "names": "client_encoding",
}


@lru_cache(maxsize=4096)
def classify(text: str) -> Statement:
    """Read one statement; a text of several counts as a plain write unless all of it is control."""
    body = _COMMENT.sub(_kept, text).strip() if ("--" in text or "/*" in text) else text.strip()
    first = re.match(r"[a-z]+", body, re.IGNORECASE)
    word = first.group().lower() if first else ""
    if not body.strip(";").strip():
        return Statement("empty", writes=False)
    if word in _STARTS_CONTROL:
        for pattern, kind in _CONTROL:
            if found := pattern.match(body):
                return Statement(kind, name=_fold(found.group(1)) if found.groups() else "")
    local = _SET_LOCAL.match(body) if word == "set" else None
    words = frozenset(name.lower() for name in _CALL.findall(body))
    clause = _ROW_LOCKS.search(body) if word in _READS else None
    return Statement(
        "plain",
        writes=not (word in _READS and not _WRITING.search(_LOCKING.sub(" ", body))),
        words=words,
        changes_schema=word in _SCHEMA,
        local_setting=_parameter(local[1]) if local else "",
        session_setting=_session_setting(body) if word in ("set", "reset") else "",
        defers=(word == "set" or word in _SCHEMA) and _DEFERS.search(body) is not None,
        ends=";" in body and _ENDS.search(body) is not None,
        changed_tables=frozenset(map(_fold, _CHANGED.findall(body))) - _NO_TABLES,
        read_tables=frozenset(_tables_read(body)) - _NO_TABLES,
        locks=not _SESSION_LOCKS.isdisjoint(words),
        unlocks=not _UNLOCKS.isdisjoint(words),
        row_locks=clause is not None,
        skips=bool(clause and clause[1]) or not _TRIES.isdisjoint(words),
        notifies=word == "notify" or "pg_notify" in words,
    )


def _tables_read(body: str) -> Iterator[str]:
    for found in _READ.finditer(body):
        yield _fold(found[1])
        at = found.end()
        while following := _READ_NEXT.match(body, at):
            yield _fold(following[1])
            at = following.end()


def _session_setting(body: str) -> str:
    if _CHARACTERISTICS.match(body):
        return "default_transaction_read_only"
    found = _SET_SESSION.match(body)
    return _parameter(next(name for name in found.groups() if name)) if found else ""


def _parameter(name: str) -> str:
    """The parameter that SET calls ``name``."""
    spelling = " ".join(name.lower().split())
    return _SPELLINGS.get(spelling, name.strip('"'))


def _kept(found: re.Match[str]) -> str:
    return " " if found["comment"] else found[0]


def _fold(name: str) -> str:
    """The savepoint's name as PostgreSQL compares it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
